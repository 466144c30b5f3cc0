package postgres

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// DefaultTimeout bounds each call of a Store, with the time that it waits for a connection.
const DefaultTimeout = 2 * time.Second

// defaultMaxConns is how many connections a pod has at most: ten pods fit into the 100 that PostgreSQL takes by default. pgx would go by
// the processors of the machine, of which a pod has only a part.
const defaultMaxConns = 8

// Option changes a Store.
type Option func(*Store)

// WithTimeout sets the bound of each call, default DefaultTimeout.
func WithTimeout(timeout time.Duration) Option {
	return func(s *Store) { s.timeout = timeout }
}

// Open returns the store of a URL such as postgres://user:password@host:5432/database?sslmode=require. What libpq and pgxpool know
// as parameters can be added, such as pool_max_conns (default 8); Check takes one more. The database need not be there yet: the first call that needs it
// connects.
//
// An error is about DATABASE_URL, and never holds the password.
func Open(ctx context.Context, databaseURL string, options ...Option) (*Store, error) {
	s := &Store{timeout: DefaultTimeout, creating: make(chan struct{}, 1)}
	for _, option := range options {
		option(s)
	}
	config, err := parse(databaseURL)
	if err != nil {
		return nil, fmt.Errorf("DATABASE_URL: %w", err)
	}
	if !strings.Contains(databaseURL, "pool_max_conns=") {
		config.MaxConns = defaultMaxConns
	}
	if !strings.Contains(databaseURL, "connect_timeout=") {
		// The pool opens connections on behalf of nobody: one that hangs would take a place in it for minutes.
		config.ConnConfig.ConnectTimeout = s.timeout
	}
	if config.ConnConfig.RuntimeParams["application_name"] == "" {
		config.ConnConfig.RuntimeParams["application_name"] = "sampleapp"
	}
	config.PingTimeout = s.timeout
	// Nothing is prepared, so that nothing goes stale when the table is made anew, and PgBouncer may pool by transaction.
	config.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeExec
	config.ConnConfig.StatementCacheCapacity, config.ConnConfig.DescriptionCacheCapacity = 0, 0
	one := config.Copy()
	one.MaxConns, one.MinConns, one.MinIdleConns = 1, 0, 0
	if s.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return nil, fmt.Errorf("DATABASE_URL: %w", err)
	}
	if s.checks, err = pgxpool.NewWithConfig(ctx, one); err != nil {
		s.pool.Close()
		return nil, fmt.Errorf("DATABASE_URL: %w", err)
	}
	return s, nil
}

// parse reads the URL. The errors of net/url and of pgx quote what they could not read, and that is where a password is that was not
// escaped, so they are left out where they may.
func parse(text string) (*pgxpool.Config, error) {
	const example = "a URL such as postgres://user:password@host:5432/database?sslmode=require" //nolint:gosec // nobody's password
	scheme, _, found := strings.Cut(text, "://")
	if !found {
		return nil, errors.New("it is not " + example)
	}
	if scheme != "postgres" && scheme != "postgresql" {
		return nil, errors.New("it does not begin with postgres://: it should be " + example)
	}
	parsed, err := url.Parse(text)
	if err != nil || strings.ContainsAny(parsed.Host, " @") {
		return nil, errors.New("it can't be read as " + example + ": characters such as / # ? @ : % in the password are written as %2F and so on")
	}
	if parsed.Hostname() == "" && !parsed.Query().Has("host") {
		return nil, errors.New("it names no host, and should be " + example)
	}
	config, err := pgxpool.ParseConfig(text)
	if err != nil {
		reason := errors.Unwrap(err)
		if reason == nil || strings.Contains(reason.Error(), "://") || holdsSecret(reason.Error(), parsed) {
			reason = errors.New("a parameter is wrong")
		}
		return nil, fmt.Errorf("%w: it should be %s", reason, example)
	}
	return config, nil
}

// holdsSecret reports whether a message quotes a password.
func holdsSecret(message string, parsed *url.URL) bool {
	password, _ := parsed.User.Password()
	query := parsed.Query()
	for _, secret := range []string{password, query.Get("password"), query.Get("sslpassword")} {
		if secret != "" && strings.Contains(message, secret) {
			return true
		}
	}
	return false
}
