// Write the hash of the sources beside the built files: a test compares it, so that a stale bundle is found.
import { createHash } from "node:crypto";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const lessons = "src/hubel/teach/course/lessons";
const assets = `${root}src/hubel/studio/course/assets`;

const below = (folder) => readdirSync(root + folder, { recursive: true }).map((name) => `${folder}/${name}`);
const sources = [
  ...below("web/src").filter((path) => /\.(tsx?|css)$/.test(path) && !/\.test\.tsx?$/.test(path)),
  ...below(lessons).filter((path) => /\.(tsx?|css)$/.test(path)),
  ...["package-lock.json", "tsconfig.json", "vite.config.ts"].map((name) => `web/${name}`),
].sort();

const sha256 = (...parts) => parts.reduce((hash, part) => hash.update(part), createHash("sha256")).digest("hex");
const all = sources.flatMap((path) => [path, "\0", readFileSync(root + path), "\0"]);
const files = Object.fromEntries(["app.css", "app.js"].map((name) => [name, sha256(readFileSync(`${assets}/${name}`))]));
writeFileSync(`${assets}/manifest.json`, JSON.stringify({ sources: sha256(...all), files }, null, 2) + "\n");
