import { render } from "preact";
import { act } from "preact/test-utils";
import { useState } from "preact/hooks";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { makeAxis, tickText } from "./axes";
import { Choice, DrawingPad, Grid, Predict } from "./index";

const host = document.createElement("div");
document.body.append(host);
beforeEach(() => act(() => render(null, host)));
const show = (node: preact.VNode) => act(() => render(node, host));
const press = (element: Element, key: string) =>
  act(() => void element.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true })));

describe("Grid", () => {
  it("is edited by typing and by arrow keys, within its bounds", async () => {
    let values = [[1, 2]];
    function Lab() {
      const [shown, set] = useState(values);
      values = shown;
      return <Grid values={shown} onChange={set} min={-1} max={3} label="kernel" />;
    }
    await show(<Lab />);
    const [first, second] = host.querySelectorAll("input");
    await act(() => {
      first!.value = "−0.5";
      first!.dispatchEvent(new Event("input", { bubbles: true }));
    });
    expect(values).toEqual([[-0.5, 2]]);
    await press(second!, "ArrowUp");
    await press(second!, "ArrowUp");
    expect(values).toEqual([[-0.5, 3]]);
    expect(second!.getAttribute("aria-label")).toBe("kernel: 1, 2");
  });
  it("says what is no number, and keeps what stood there", async () => {
    let values = [[1, 2]];
    const complaint = vi.spyOn(console, "error").mockImplementation(() => undefined); // there are no sentences here
    await show(<Grid values={values} onChange={(to) => (values = to)} label="kernel" />);
    const type = (text: string) =>
      act(() => {
        host.querySelector("input")!.value = text;
        host.querySelector("input")!.dispatchEvent(new Event("input", { bubbles: true }));
      });
    await type("-");
    expect(host.querySelector(".problem")).toBeNull();
    await type("abc");
    expect(host.querySelector(".problem")!.textContent).toBe("grid.noNumber");
    expect(host.querySelector("input")!.getAttribute("aria-invalid")).toBe("true");
    expect(values).toEqual([[1, 2]]);
    await type("7");
    expect(host.querySelector(".problem")).toBeNull();
    expect(values).toEqual([[7, 2]]);
    complaint.mockRestore();
  });
  it("is pointed at by arrow keys, and stays inside", async () => {
    const seen: [number, number][] = [];
    await show(<Grid values={[[1, 2], [3, 4]]} label="map" pointed={[1, 0]} onPoint={(r, c) => seen.push([r, c])} />);
    for (const key of ["ArrowRight", "ArrowDown", "ArrowUp"]) await press(host.querySelector(".grid")!, key);
    expect(seen).toEqual([[1, 1], [1, 0], [0, 0]]);
  });
  it("frames marked cells together, asking only about cells that exist", async () => {
    await show(
      <Grid values={[[1, 2], [3, 4]]} label="m" mark={(r, c) => (r < 0 || c < 0 || r > 1 || c > 1 ? undefined! : c === 0 ? "window" : undefined)} />,
    );
    expect([...host.querySelectorAll("td")].map((td) => td.className)).toEqual(["window edge-t edge-l edge-r", "", "window edge-b edge-l edge-r", ""]);
  });
});

describe("DrawingPad", () => {
  it("draws by the space bar", async () => {
    let drawn: number[][] = [];
    await show(<DrawingPad rows={2} columns={2} values={[[0, 0], [0, 0]]} onChange={(to) => (drawn = to)} label="pad" />);
    const pad = host.querySelector("svg")!;
    await press(pad, "ArrowDown");
    await press(pad, "ArrowRight");
    await press(pad, " ");
    expect(drawn).toEqual([[0, 0], [0, 1]]);
  });
});

describe("Choice and Predict", () => {
  it("choose", async () => {
    let chosen = "";
    await show(<Choice label="c" options={[{ value: "a", label: "A" }, { value: "b", label: "B" }]} value="a" onChange={(to) => (chosen = to)} />);
    await act(() => host.querySelectorAll("input")[1]!.click());
    expect(chosen).toBe("b");
  });
  it("reveal after the choice", async () => {
    await show(
      <Predict ask="?" options={["x", "y"]} answer={1}>
        because
      </Predict>,
    );
    expect(host.textContent).not.toContain("because");
    await act(() => host.querySelectorAll("input")[0]!.click());
    expect(host.textContent).toContain("because");
    expect([...host.querySelectorAll("label")].map((label) => label.className)).toEqual(["wrong", "right"]);
  });
});

describe("axes", () => {
  it("have round ticks", () => {
    expect(makeAxis([0, 9.3], false).ticks).toEqual([0, 2, 4, 6, 8, 10]);
    expect(makeAxis([0.5, 120], true).ticks).toEqual([0.1, 1, 10, 100, 1000]);
    expect(makeAxis([], false).at(0)).toBe(0);
    expect([tickText(1_500_000), tickText(-0.5), tickText(0.0001)]).toEqual(["1.5M", "−0.5", "10⁻⁴"]);
  });
});
