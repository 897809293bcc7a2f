"use strict";

// The document lies beside the folder of this script, wherever a proxy has put both.
SwaggerUIBundle({
  url: new URL("../openapi.json", document.currentScript.src).href,
  dom_id: "#swagger-ui",
  deepLinking: true,
  docExpansion: "none",
  defaultModelsExpandDepth: 0,
  // Keys are forgotten with the page, and nobody else is asked whether the document is valid.
  persistAuthorization: false,
  validatorUrl: null,
});
