/** Two weights. */
export type Weights = [number, number];

/** Inputs `[x1, x2]` with their targets. */
export interface Samples {
  x: Weights[];
  targets: number[];
}

/** A quadratic loss of two weights, L(w) = w H w / 2 - g w + c: the mean of half the squared errors of a linear neuron. */
export interface Bowl {
  /** H: [w1 w1, w1 w2, w2 w2]. */
  curvature: [number, number, number];
  minimum: Weights;
  lowest: number;
  /** Of H, the larger first. */
  eigenvalues: [number, number];
  /** Unit vector of the larger eigenvalue. */
  steepest: Weights;
}

export function outputs({ x }: Samples, [w1, w2]: Weights): number[] {
  return x.map(([x1, x2]) => w1 * x1 + w2 * x2);
}

/** The mean of half the squared errors, plus half the squared weights times `decay`. */
export function squaredLoss(samples: Samples, w: Weights, decay = 0): number {
  const errors = outputs(samples, w).map((y, i) => y - samples.targets[i]!);
  return mean(errors.map((error) => error ** 2 / 2)) + (decay / 2) * (w[0] ** 2 + w[1] ** 2);
}

/** The gradient of `squaredLoss`, over some of the samples or over all. */
export function squaredLossGradient(samples: Samples, w: Weights, decay = 0, rows?: number[]): Weights {
  const chosen = rows ?? samples.targets.map((_, row) => row);
  const parts = chosen.map((row): Weights => {
    const [x1, x2] = samples.x[row]!;
    const error = w[0] * x1 + w[1] * x2 - samples.targets[row]!;
    return [error * x1, error * x2];
  });
  return [mean(parts.map((part) => part[0])) + decay * w[0], mean(parts.map((part) => part[1])) + decay * w[1]];
}

/** The shape of `squaredLoss`. */
export function bowl({ x, targets }: Samples, decay = 0): Bowl {
  const a = mean(x.map(([x1]) => x1 * x1)) + decay;
  const b = mean(x.map(([x1, x2]) => x1 * x2));
  const d = mean(x.map(([, x2]) => x2 * x2)) + decay;
  const pull: Weights = [mean(x.map(([x1], i) => x1 * targets[i]!)), mean(x.map(([, x2], i) => x2 * targets[i]!))];
  const determinant = a * d - b * b;
  const minimum: Weights = [(d * pull[0] - b * pull[1]) / determinant, (a * pull[1] - b * pull[0]) / determinant];
  const centre = (a + d) / 2;
  const spread = Math.hypot((a - d) / 2, b);
  const angle = Math.atan2(2 * b, a - d) / 2;
  return {
    curvature: [a, b, d],
    minimum,
    lowest: mean(targets.map((target) => target ** 2)) / 2 - (pull[0] * minimum[0] + pull[1] * minimum[1]) / 2,
    eigenvalues: [centre + spread, centre - spread],
    steepest: [Math.cos(angle), Math.sin(angle)],
  };
}

/** The loss of a bowl: the same as `squaredLoss`, at a cost that does not depend on the number of samples. */
export function bowlLoss({ curvature: [a, b, d], minimum, lowest }: Bowl, w: Weights): number {
  const [u, v] = [w[0] - minimum[0], w[1] - minimum[1]];
  return lowest + (a * u * u + 2 * b * u * v + d * v * v) / 2;
}

/** The gradient of a bowl: the same as `squaredLossGradient` over all samples. */
export function bowlGradient({ curvature: [a, b, d], minimum }: Bowl, w: Weights): Weights {
  const [u, v] = [w[0] - minimum[0], w[1] - minimum[1]];
  return [a * u + b * v, b * u + d * v];
}

/** Subtract from each input its mean. */
export function centred({ x, targets }: Samples): Samples {
  const [m1, m2] = [mean(x.map(([x1]) => x1)), mean(x.map(([, x2]) => x2))];
  return { x: x.map(([x1, x2]) => [x1 - m1, x2 - m2]), targets };
}

export type OptimizerName = "sgd" | "momentum" | "adam" | "adadelta";

export interface OptimizerOptions {
  rate: number;
  momentum?: number;
}

/** Constants of the papers. */
export const ADAM = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 }; // Kingma & Ba 2014, Algorithm 1
export const ADADELTA = { rho: 0.95, epsilon: 1e-6 }; // Zeiler 2012, Section 4.1

/** A step: from the gradient to what is added to the weights; it remembers what its optimizer remembers. */
type Step = (gradient: Weights) => Weights;

/** Optimizers by name; each is made fresh for a path. */
export const OPTIMIZERS: Record<OptimizerName, (options: OptimizerOptions) => Step> = {
  sgd: ({ rate }) => both((g) => -rate * g),
  momentum: ({ rate, momentum = 0.9 }) => {
    const speed = [0, 0];
    return both((g, i) => {
      speed[i] = momentum * speed[i]! + g;
      return -rate * speed[i]!;
    });
  },
  adam: ({ rate }) => {
    const [first, second, steps] = [[0, 0], [0, 0], [0, 0]];
    return both((g, i) => {
      steps[i]!++;
      first[i] = ADAM.beta1 * first[i]! + (1 - ADAM.beta1) * g;
      second[i] = ADAM.beta2 * second[i]! + (1 - ADAM.beta2) * g * g;
      const m = first[i]! / (1 - ADAM.beta1 ** steps[i]!);
      const v = second[i]! / (1 - ADAM.beta2 ** steps[i]!);
      return (-rate * m) / (Math.sqrt(v) + ADAM.epsilon);
    });
  },
  adadelta: ({ rate }) => {
    const [gradients, updates] = [[0, 0], [0, 0]];
    return both((g, i) => {
      gradients[i] = ADADELTA.rho * gradients[i]! + (1 - ADADELTA.rho) * g * g;
      const update = -g * Math.sqrt((updates[i]! + ADADELTA.epsilon) / (gradients[i]! + ADADELTA.epsilon));
      updates[i] = ADADELTA.rho * updates[i]! + (1 - ADADELTA.rho) * update * update;
      return rate * update;
    });
  },
};

export interface DescentOptions extends OptimizerOptions {
  optimizer: OptimizerName;
  steps: number;
  decay?: number;
  /** Samples a step; all if not given. */
  batch?: number;
  /** Positions of the samples in the order in which batches take them. */
  order?: number[];
}

/** The weights before the first and after each step of gradient descent; it ends early where they leave all bounds. */
export function descend(samples: Samples, start: Weights, options: DescentOptions): Weights[] {
  const { optimizer, steps, decay = 0, batch, order } = options;
  const step = OPTIMIZERS[optimizer](options);
  const shape = bowl(samples, decay);
  const path: Weights[] = [start];
  for (let i = 0; i < steps; i++) {
    const w = path.at(-1)!;
    const rows = batch && order ? Array.from({ length: batch }, (_, j) => order[(i * batch + j) % order.length]!) : undefined;
    const by = step(rows ? squaredLossGradient(samples, w, decay, rows) : bowlGradient(shape, w));
    const next: Weights = [w[0] + by[0], w[1] + by[1]];
    if (!next.every((value) => Math.abs(value) < 1e6)) break;
    path.push(next);
  }
  return path;
}

/** How many steps a path takes until it stays within a share of its first excess over the lowest loss; -1 if never. */
export function stepsUntil(losses: number[], lowest: number, share = 0.01): number {
  const bound = lowest + share * (losses[0]! - lowest);
  let late = losses.length - 1; // the last loss that is not low
  while (late >= 0 && losses[late]! <= bound) late--;
  return late === losses.length - 1 ? -1 : late + 1;
}

function both(step: (gradient: number, index: number) => number): Step {
  return ([g1, g2]) => [step(g1, 0), step(g2, 1)];
}

function mean(values: number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
