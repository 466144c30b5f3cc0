package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/gin-operator/gin-operator/ginkit/problem"
	"github.com/gin-operator/gin-operator/sampleapp/queue"
	"github.com/gin-operator/gin-operator/sampleapp/users"
)

const (
	defaultPage = 50
	// retryStore is when a client may ask again for what the store could not answer.
	retryStore = 2 * time.Second
)

// userAPI are the endpoints for users.
type userAPI struct {
	store  users.Store
	events queue.Publisher
	log    *slog.Logger
}

// page is a part of the list of users.
type page struct {
	Users []users.User `json:"users"`
	// Next is the parameter after of the next page. It is left out where the page is not full: then it is the last.
	Next string `json:"next,omitempty"`
}

// list answers with up to limit users, from 1 to 1000, default 50, which follow the id in after.
func (a *userAPI) list(c *gin.Context) {
	limit, ok := queryInt(c, "limit", defaultPage, 1, users.MaxPage)
	if !ok {
		return
	}
	found, err := a.store.List(c.Request.Context(), c.Query("after"), limit)
	if err != nil {
		fail(c, err)
		return
	}
	answer := page{Users: found}
	if len(found) == limit {
		answer.Next = found[len(found)-1].ID
	}
	c.JSON(http.StatusOK, answer)
}

func (a *userAPI) get(c *gin.Context) {
	user, err := a.store.Get(c.Request.Context(), c.Param("id"))
	if err != nil {
		fail(c, err)
		return
	}
	c.JSON(http.StatusOK, user)
}

func (a *userAPI) create(c *gin.Context) {
	var wanted users.NewUser
	if err := c.ShouldBindJSON(&wanted); err != nil {
		problem.Write(c, problem.Invalid(err))
		return
	}
	user, err := a.store.Create(c.Request.Context(), wanted)
	if err != nil {
		fail(c, err)
		return
	}
	a.announce(c.Request.Context(), user)
	c.Header("Location", "/api/v1/users/"+user.ID)
	c.JSON(http.StatusCreated, user)
}

// announce tells the queue of a user. The user is there whether or not it could be told, so the client hears nothing of it.
func (a *userAPI) announce(ctx context.Context, user users.User) {
	if err := a.events.Publish(ctx, queue.NewUserCreated(user)); err != nil {
		a.log.WarnContext(ctx, "an event was not published", "user", user.ID, "error", err.Error())
	}
}

// fail answers with what a client may know of an error of the store.
func fail(c *gin.Context, err error) {
	var told *problem.Error
	switch {
	case errors.Is(err, users.ErrNotFound):
		told = problem.New(http.StatusNotFound, "user_not_found", "there is no user with this id")
	case errors.Is(err, users.ErrEmailTaken):
		told = problem.New(http.StatusConflict, "email_taken", "another user has this email address").
			WithDetails(problem.Detail{Field: "email", Message: "is taken"})
	case errors.Is(err, users.ErrBadCursor):
		told = problem.New(http.StatusBadRequest, "bad_request", "parameter after: it is not what a page gave as next")
	case errors.Is(err, users.ErrFull):
		told = problem.New(http.StatusInsufficientStorage, "store_full", "there is no room for another user")
	case errors.Is(err, users.ErrUnavailable):
		told = problem.New(http.StatusServiceUnavailable, "store_unavailable", "the users can't be reached at the moment").WithRetryAfter(retryStore)
	default:
		problem.Write(c, err)
		return
	}
	problem.Write(c, told.WithCause(err))
}

// refuseWrites answers a write where nothing says who may write.
func refuseWrites(c *gin.Context) {
	problem.Write(c, problem.New(http.StatusForbidden, "writes_off",
		"nobody may write: the service has no AUTH_KEY_SET to check tokens with, and AUTH=none does not let everybody"))
}
