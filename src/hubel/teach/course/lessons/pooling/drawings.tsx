import { Picture } from "@parts";
import { layerFields, seenPlaces, type Layer } from "./stack";

const MOST_CELLS = 70;

/** A row of each map, the value on top, above the values that it depends on. */
export function Pyramid({ layers, image, label, id }: { layers: Layer[]; image: string; label: string; id?: string }) {
  const fields = layerFields(layers);
  const places = seenPlaces(layers);
  const field = fields.at(-1)?.field ?? 1;
  const steps = [1, ...fields.map(({ jump, layer }) => jump * layer.stride)];
  const firsts = [0, ...fields.map((one) => (one.field - 1) / 2)];
  const [left, cell] = [92, Math.min(26, 470 / Math.max(field, 8))];
  const gap = 40;
  const width = left + field * cell + 10;
  const height = (layers.length + 1) * gap;
  const x = (level: number, place: number) => left + (firsts[level]! + place * steps[level]! + 0.5) * cell;
  const y = (level: number) => height - level * gap - gap / 2;
  const side = Math.max(2, Math.min(18, cell * 0.8));
  return (
    <svg
      data-id={id}
      data-value={field}
      viewBox={`0 0 ${width} ${height}`}
      style={{ width: "100%", maxWidth: `${width}px`, display: "block" }}
      role="img"
      aria-label={label}
    >
      {places.map((row, level) => (
        <g key={level}>
          <text x={left - 12} y={y(level) + 5} text-anchor="end" fill="var(--ink)" style={{ font: "14px var(--sans)" }}>
            {level ? layers[level - 1]!.name : image}
          </text>
          {level > 0 &&
            [0, -1].map((end) => (
              <line
                key={end}
                x1={x(level, row.at(end)!)}
                y1={y(level)}
                x2={x(level - 1, places[level - 1]!.at(end)!)}
                y2={y(level - 1)}
                stroke="var(--soft)"
              />
            ))}
          {row.length <= MOST_CELLS ? (
            row.map((place) => (
              <rect
                key={place}
                x={x(level, place) - side / 2}
                y={y(level) - 9}
                width={side}
                height={18}
                rx={Math.min(3, side / 4)}
                fill={level ? "var(--plus)" : "var(--minus)"}
              />
            ))
          ) : (
            <rect
              x={x(level, row[0]!)}
              y={y(level) - 5}
              width={x(level, row.at(-1)!) - x(level, row[0]!)}
              height={10}
              fill={level ? "var(--plus)" : "var(--minus)"}
            />
          )}
        </g>
      ))}
    </svg>
  );
}

/** The fields of all layers as frames around the middle of a picture. */
export function FieldsOnPicture({ pixels, layers, label }: { pixels: number[][][]; layers: Layer[]; label: string }) {
  const [height, width] = [pixels.length, pixels[0]!.length];
  const fields = layerFields(layers);
  return (
    <div style={{ position: "relative", overflow: "hidden", width: "fit-content", maxWidth: "100%" }}>
      <Picture pixels={pixels} zoom={336 / width} label={label} />
      <svg
        viewBox={`0 0 ${width} ${height}`}
        style={{ position: "absolute", inset: 0, width: "100%", height: "100%", overflow: "hidden" }}
        aria-hidden="true"
      >
        {fields.map(({ field }, index) => {
          const corner = (length: number) => Math.floor((length - field) / 2);
          const last = index === fields.length - 1;
          const frame = { x: corner(width), y: corner(height), width: field, height: field, fill: "none" };
          return (
            <g key={index}>
              <rect {...frame} stroke="#000" stroke-width={last ? 2 : 1} vector-effect="non-scaling-stroke" style={{ strokeWidth: last ? 5 : 3 }} />
              <rect {...frame} stroke={last ? "#ffb000" : "#fff"} vector-effect="non-scaling-stroke" style={{ strokeWidth: last ? 3 : 1.5 }} />
            </g>
          );
        })}
      </svg>
    </div>
  );
}

const STOPS = [
  [0.06, 0.04, 0.22],
  [0.16, 0.36, 0.55],
  [0.2, 0.66, 0.5],
  [0.99, 0.91, 0.25],
];

/** Values from 0 to 1 as colours from dark blue to yellow. */
export function heat(values: number[][]): number[][][] {
  return values.map((row) =>
    row.map((value) => {
      const place = Math.min(0.9999, Math.max(0, value)) * (STOPS.length - 1);
      const [from, to] = [STOPS[Math.floor(place)]!, STOPS[Math.floor(place) + 1]!];
      return from.map((colour, index) => colour + (to[index]! - colour) * (place % 1));
    }),
  );
}
