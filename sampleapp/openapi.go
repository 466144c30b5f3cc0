package main

import _ "embed"

// openAPI describes the routes to programs: https://spec.openapis.org/oas/v3.1.0.
//
//go:embed openapi.json
var openAPI []byte
