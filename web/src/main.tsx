import { render } from "preact";
import { App } from "./app";
import { applyTheme } from "./session";
import "./styles/base.css";
import "./styles/parts.css";
import "./styles/views.css";

applyTheme();
const place = document.getElementById("page");
if (place) render(<App />, place);
