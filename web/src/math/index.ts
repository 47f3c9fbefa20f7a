export * from "./convolution";
export * from "./pooling";
export * from "./sizes";
export * from "./activations";
export * from "./losses";
export * from "./matching";
