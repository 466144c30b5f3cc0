// Package ginkit makes a Gin service a good citizen of production, in a dozen lines:
//
//	func main() {
//		kit, err := ginkit.New()
//		if err != nil {
//			ginkit.Exit(err)
//		}
//		kit.Engine.GET("/hello", hello)
//		ginkit.Exit(kit.Run())
//	}
//
// The service then reads the environment that the operator sets in a pod, serves /livez, /readyz, /health and /metrics, measures and
// traces its requests, logs JSON, answers every error in one form, survives panics, follows the memory limit of its pod, and stops
// without losing a request.
//
// Each part is a package of its own that works without the others and in any Gin service: problem, requestid, metrics, health, logs,
// tracing, serve, config. What only some services need is not in New and is added to Engine or to a group of its routes: limits,
// breaker, auth, web.
package ginkit
