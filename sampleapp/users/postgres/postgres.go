// Package postgres keeps users in PostgreSQL, by pgx. The setting is DATABASE_URL.
//
// The service starts without the database, and gets along with one that comes, goes and comes back: a call takes 2 s at most and ends with
// users.ErrUnavailable where the database can't be reached, and the next call after it has come back succeeds. A call that finds its
// connection broken tries once more on a new one. The table is created with the first call, where it is missing.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/puddle/v2"

	"github.com/gin-operator/gin-operator/sampleapp/users"
)

// Store is a users.Store.
type Store struct {
	pool *pgxpool.Pool
	// checks has the one connection of Check, which must not queue behind the requests of a busy service: that would take all pods out of
	// service although the database is well.
	checks  *pgxpool.Pool
	timeout time.Duration

	// ready says that the table has been seen. Whoever looks for it holds the one place in creating.
	ready    atomic.Bool
	creating chan struct{}
}

var _ users.Store = (*Store)(nil)

// The states of https://www.postgresql.org/docs/current/errcodes-appendix.html that are told apart.
const (
	uniqueViolation  = "23505"
	readOnly         = "25006" // what was the primary is a standby now
	undefinedTable   = "42P01"
	queryCanceled    = "57014"
	adminShutdown    = "57P01"
	crashShutdown    = "57P02"
	cannotConnectNow = "57P03"
	idleTimeout      = "57P05"
)

// Create implements users.Store.
func (s *Store) Create(ctx context.Context, user users.NewUser) (users.User, error) {
	made, err := users.Make(user)
	if err != nil {
		return users.User{}, fmt.Errorf("creating a user: %w", err)
	}
	// The second try meets what the first may have written before its connection broke: the id is the same, and nothing is done.
	err = s.call(ctx, func(ctx context.Context) error {
		_, err := s.pool.Exec(ctx, `insert into users (id, name, email, created_at) values ($1::uuid, $2, $3, $4) on conflict (id) do nothing`,
			made.ID, made.Name, made.Email, made.CreatedAt)
		return err
	})
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refused.Code == uniqueViolation && refused.ConstraintName == emailIndex {
		return users.User{}, users.ErrEmailTaken
	}
	if err != nil {
		return users.User{}, fmt.Errorf("creating a user: %w", err)
	}
	return made, nil
}

// Get implements users.Store.
func (s *Store) Get(ctx context.Context, id string) (users.User, error) {
	if !users.IsID(id) {
		return users.User{}, users.ErrNotFound
	}
	var user users.User
	err := s.call(ctx, func(ctx context.Context) error {
		var err error
		user, err = scan(s.pool.QueryRow(ctx, `select id::text, name, email, created_at from users where id = $1::uuid`, id))
		return err
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return users.User{}, users.ErrNotFound
	}
	if err != nil {
		return users.User{}, fmt.Errorf("reading a user: %w", err)
	}
	return user, nil
}

// List implements users.Store.
func (s *Store) List(ctx context.Context, after string, limit int) ([]users.User, error) {
	const first = "00000000-0000-0000-0000-000000000000"
	switch {
	case after == "":
		after = first
	case !users.IsID(after):
		return nil, users.ErrBadCursor
	}
	var list []users.User
	err := s.call(ctx, func(ctx context.Context) error {
		rows, err := s.pool.Query(ctx, `select id::text, name, email, created_at from users where id > $1::uuid order by id limit $2`,
			after, users.Limit(limit))
		if err != nil {
			return err
		}
		// It makes an empty list where there are no rows.
		list, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (users.User, error) { return scan(row) })
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listing users: %w", err)
	}
	return list, nil
}

// Check returns an error where the database can't be reached or its table can't be read, after the timeout at most. It has a connection of its
// own.
func (s *Store) Check(ctx context.Context) error {
	err := s.call(ctx, func(ctx context.Context) error {
		_, err := s.checks.Exec(ctx, `select id, name, email, created_at from users limit 0`)
		return err
	})
	if err != nil {
		return fmt.Errorf("asking PostgreSQL: %w", err)
	}
	return nil
}

// Close waits for the calls that are under way, the timeout at most, and closes the connections.
func (s *Store) Close() {
	s.pool.Close()
	s.checks.Close()
}

func scan(row pgx.Row) (users.User, error) {
	var user users.User
	err := row.Scan(&user.ID, &user.Name, &user.Email, &user.CreatedAt)
	user.CreatedAt = user.CreatedAt.UTC()
	return user, err
}

// call runs a query that may run twice, within the timeout.
func (s *Store) call(ctx context.Context, query func(context.Context) error) error {
	bounded, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	err := s.try(bounded, query)
	switch {
	case err == nil || bounded.Err() != nil:
	case hasCode(err, undefinedTable):
		s.ready.Store(false)
		err = s.try(bounded, query)
	case broken(err):
		// The others that are idle broke with it, more often than not.
		s.pool.Reset()
		s.checks.Reset()
		err = s.try(bounded, query)
	}
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("%w: %w", ctx.Err(), err)
	case bounded.Err() != nil || unreachable(err):
		return fmt.Errorf("%w: %w", users.ErrUnavailable, err)
	default:
		return err
	}
}

func (s *Store) try(ctx context.Context, query func(context.Context) error) error {
	if err := s.ensureSchema(ctx); err != nil {
		return err
	}
	return query(ctx)
}

// broken reports whether a connection that had been made did not last.
func broken(err error) bool {
	var connecting *pgconn.ConnectError
	if errors.As(err, &connecting) || pgconn.Timeout(err) {
		return false
	}
	return hasCode(err, adminShutdown, crashShutdown, idleTimeout, readOnly) || pgconn.SafeToRetry(err) || lost(err)
}

func lost(err error) bool {
	var network *net.OpError
	return errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// unreachable reports whether an error is about the database being there, and not about the query.
func unreachable(err error) bool {
	var connecting *pgconn.ConnectError
	var refused *pgconn.PgError
	if errors.As(err, &connecting) || broken(err) || pgconn.Timeout(err) || errors.Is(err, puddle.ErrClosedPool) {
		return true
	}
	if !errors.As(err, &refused) || len(refused.Code) != 5 {
		return false
	}
	switch refused.Code[:2] {
	case "08", "53", "58": // the connection, the resources, the system
		return true
	}
	return hasCode(err, cannotConnectNow, queryCanceled)
}

func hasCode(err error, codes ...string) bool {
	var refused *pgconn.PgError
	return errors.As(err, &refused) && slices.Contains(codes, refused.Code)
}
