import { DataTable, n, Slip, type LessonProps } from "@parts";

/** What two towers save, and how many neurons there are. */
export function Alexnet({ data, facts, t }: LessonProps) {
  const { grouped, macs, macs_one, neurons } = data.alexnet;
  const sum = neurons.reduce((total: number, count: number) => total + count, 0);
  return (
    <>
      <p>{t("alexnet.intro")}</p>
      <DataTable
        id="towers"
        label={t.text("alexnet.intro")}
        head={[t("alexnet.layer"), t("alexnet.towers"), t("alexnet.one")]}
        rows={[
          ...grouped.map((row: { number: number; towers: number; one: number }) => [
            `${t.text("kind.conv")} ${row.number}, ${t.text("params")}`,
            row.towers,
            row.one,
          ]),
          [t("alexnet.all"), macs, macs_one],
        ]}
      />
      <Slip k="maps" />
      <p>
        {t("alexnet.neurons", {
          list: neurons.map((count: number) => n(count)).join(" + "),
          sum,
          published: facts.alexnet_neurons!.value,
          times: n(facts.alexnet_params!.value / facts.alexnet_neurons!.value, 0),
        })}
      </p>
      <Slip k="neurons" />
      <Slip k="alexnet_input" />
    </>
  );
}
