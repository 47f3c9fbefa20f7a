import { render } from "preact";
import { App } from "./app/App";
import type { Payload } from "./app/payload";
import "./app/theme.css";
import "./app/layout.css";
import "./parts/parts.css";

const root = document.getElementById("app");
const payload = document.getElementById("payload")?.textContent;
if (root && payload) render(<App payload={JSON.parse(payload) as Payload} />, root);
