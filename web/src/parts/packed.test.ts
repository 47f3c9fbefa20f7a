import { expect, it } from "vitest";
import { unpack, unpackGrey } from "./packed";

it("reads what photos.py has packed", () => {
  expect(unpackGrey({ rows: 1, columns: 2, channels: 1, bytes: "AP8=" })).toEqual([[0, 1]]);
  expect(unpack({ rows: 1, columns: 1, channels: 3, bytes: btoa("\u0000\u00ff\u0033") })).toEqual([[[0, 1, 0.2]]]);
});
