package problem_test

import (
	"log"
	"log/slog"
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/gin-operator/gin-operator/ginkit/problem"
	"github.com/gin-operator/gin-operator/ginkit/requestid"
)

type user struct {
	Email string `json:"email" binding:"required,email"`
}

func save(user) error { return nil }

func Example() {
	problem.UseClientNames()
	engine := gin.New()
	engine.HandleMethodNotAllowed = true
	engine.Use(requestid.Middleware(), problem.Recover(slog.Default()), problem.Errors())
	engine.NoRoute(problem.NoRoute)
	engine.NoMethod(problem.NoMethod)
	engine.POST("/users", func(c *gin.Context) {
		var u user
		if err := c.ShouldBindJSON(&u); err != nil {
			problem.Write(c, problem.Invalid(err))
			return
		}
		if err := save(u); err != nil {
			problem.Write(c, err)
			return
		}
		c.Status(http.StatusCreated)
	})
	if err := engine.Run(":8080"); err != nil {
		log.Fatal(err)
	}
}
