/** What the loss of a batch of pairs is made of. */
export interface Contrast {
  /** Cosine of each picture (row) and sentence (column). */
  similar: number[][];
  /** Softmax over the sentences, for each picture. */
  rows: number[][];
  /** Softmax over the pictures, for each sentence. */
  columns: number[][];
  loss: number;
}

export const unit = (vector: number[]) => {
  const length = Math.hypot(...vector);
  return vector.map((value) => (length ? value / length : 0));
};

const transposed = (matrix: number[][]) => matrix[0]!.map((_, column) => matrix.map((row) => row[column]!));

function softmax(row: number[]): number[] {
  const most = Math.max(...row);
  const powers = row.map((value) => Math.exp(value - most));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / sum);
}

/** The symmetric contrastive loss of a batch, and its steps: row i of the pictures belongs to row i of the sentences. */
export function contrast(pictures: number[][], sentences: number[][], temperature: number): Contrast {
  const [a, b] = [pictures.map(unit), sentences.map(unit)];
  const similar = a.map((one) => b.map((other) => one.reduce((sum, value, i) => sum + value * other[i]!, 0)));
  const logits = similar.map((row) => row.map((value) => value / temperature));
  const rows = logits.map(softmax);
  const columns = transposed(transposed(logits).map(softmax));
  const surprise = rows.reduce((sum, _, i) => sum - Math.log(rows[i]![i]!) - Math.log(columns[i]![i]!), 0);
  return { similar, rows, columns, loss: surprise / (2 * rows.length) };
}
