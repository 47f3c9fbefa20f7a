import { render } from "preact";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { parse } from "./live";
import { n, percent } from "./numbers";
import { texFormula } from "./tex";
import { translator } from "./translate";

const host = document.createElement("div");
const html = (node: preact.VNode) => {
  render(node, host);
  return host.innerHTML;
};
beforeEach(() => {
  render(null, host);
});

describe("numbers", () => {
  it.each([
    [-0.111, undefined, "−0.111"],
    [-0.0001, 2, "0.00"],
    [1234567, undefined, "1,234,567"],
    [0.000123456, undefined, "0.000123"],
    [2, undefined, "2"],
    [Infinity, undefined, "∞"],
    [7 / 9, 2, "0.78"],
  ])("%d with %s digits is %s", (value, digits, text) => {
    expect(n(value, digits)).toBe(text);
  });
  it("are shares", () => expect(percent(0.657)).toBe("65.7%"));
});

describe("sentences", () => {
  const t = translator({
    marked: "A **bold {count}**, `code`, _so_ and $x_i$ of {name}; snake_case_name stays.",
    tex: "$\\frac{1}{n}$ and ${k} \\times {k}$",
  });
  it("have markup and values", () => {
    expect(html(t("marked", { count: 1234, name: "you" }))).toBe(
      "A <strong>bold 1,234</strong>, <code>code</code>, <em>so</em> and <math><mrow><msub><mi>x</mi><mi>i</mi></msub></mrow></math> of you; snake_case_name stays.",
    );
    expect(t.text("marked", { count: 2, name: "me" })).toContain("A bold 2, code,");
  });
  it("keep the braces of a formula that are no placeholders", () => {
    expect(html(t("tex", { k: 3 }))).toContain("<mfrac><mrow><mn>1</mn></mrow><mrow><mi>n</mi></mrow></mfrac>");
    expect(html(t("tex", { k: 3 }))).toContain("<mrow><mn>3</mn></mrow>");
  });
  it("keep a Korean particle on the line of what stands before it", () => {
    const korean = translator({ formula: "$x$에 더한다", bracket: "커널(kernel)이" });
    expect(html(korean("formula"))).toBe('<span class="one-line"><math><mrow><mi>x</mi></mrow></math>에</span> 더한다');
    expect(html(korean("bracket"))).toBe("커널(kernel)\u2060이");
  });
  it("are missed aloud", () => {
    const complaint = vi.spyOn(console, "error").mockImplementation(() => undefined);
    expect(t.text("nothing")).toBe("nothing");
    expect(complaint).toHaveBeenCalledOnce();
    complaint.mockRestore();
  });
});

describe("formulas", () => {
  it.each([
    ["\\sum_i^n x", "<munderover><mo>∑</mo><mi>i</mi><mi>n</mi></munderover><mi>x</mi>"],
    ["e^{-z}", "<msup><mi>e</mi><mrow>"],
    ["\\text{relu}(x)", "<mtext>relu</mtext>"],
    ["1,024", "<mn>1,024</mn>"],
    ["w \\leftarrow w - \\eta g", "<mo stretchy=\"false\">←</mo>"],
    ["\\sqrt{2}", "<msqrt><mrow><mn>2</mn></mrow></msqrt>"],
  ])("%s", (source, expected) => {
    expect(html(texFormula(source))).toContain(expected);
  });
  it("are MathML to the browser", () => {
    html(texFormula("x"));
    expect(host.querySelector("mi")?.namespaceURI).toBe("http://www.w3.org/1998/Math/MathML");
  });
});

describe("events", () => {
  it("are parsed", () => {
    expect(parse('event: row\ndata: {"loss": 0.5}')).toEqual({ kind: "row", data: { loss: 0.5 } });
    expect(parse("event: end\ndata: {}").kind).toBe("end");
  });
});
