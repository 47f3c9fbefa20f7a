/** The lesson's live computations: where to ask for them, if anywhere. */
export interface Live {
  /** False in exported files. */
  available: boolean;
  lesson: string;
}

export interface LiveEvent {
  kind: "row" | "end" | "error";
  data: any;
}

/** Why a computation could not be had: a code that the pages have a sentence for, and the server's own, in English. */
export class LiveError extends Error {
  constructor(
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

/** Ask the server for a computation and hand over its events as they come; `signal` ends it. */
export async function ask(
  live: Live,
  action: string,
  body: unknown,
  signal: AbortSignal,
  each: (event: LiveEvent) => void,
): Promise<void> {
  const response = await fetch(`/v1/lessons/${live.lesson}/${action}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body ?? {}),
    signal,
  }).catch((problem: Error) => {
    throw problem.name === "AbortError" ? problem : new LiveError("unreachable", problem.message);
  });
  if (!response.ok || !response.body) {
    const problem = (await response.json().catch(() => ({}))) as { error?: { code?: string; message?: string } };
    throw new LiveError(problem.error?.code ?? "", problem.error?.message ?? response.statusText);
  }
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let waiting = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const blocks = (waiting + value).split("\n\n");
    waiting = blocks.pop() ?? "";
    for (const block of blocks) each(parse(block));
  }
}

/** Parse one block of an event stream. */
export function parse(block: string): LiveEvent {
  const field = (name: string) =>
    block
      .split("\n")
      .filter((line) => line.startsWith(`${name}: `))
      .map((line) => line.slice(name.length + 2))
      .join("\n");
  return { kind: field("event") as LiveEvent["kind"], data: JSON.parse(field("data") || "{}") };
}
