package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// emailIndex is the constraint that an address which is taken violates.
const emailIndex = "users_email_key"

// schemaLock keeps pods that start together from creating the table at once, which "if not exists" does not: the second would fail.
const schemaLock = 7_205_001

// In the collation "C" lower changes A to Z only, whatever the locale of the database, as users.EmailKey does.
var schema = []string{
	`create table if not exists users (
		id uuid primary key,
		name text not null,
		email text not null,
		created_at timestamptz not null
	)`,
	`create unique index if not exists ` + emailIndex + ` on users (lower(email collate "C"))`,
}

// ensureSchema creates the table where it is missing. A table that is there takes no right to create one.
func (s *Store) ensureSchema(ctx context.Context) error {
	if s.ready.Load() {
		return nil
	}
	select {
	case s.creating <- struct{}{}:
		defer func() { <-s.creating }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if s.ready.Load() {
		return nil
	}
	var exists bool
	err := s.pool.QueryRow(ctx, `select to_regclass('users') is not null and to_regclass('`+emailIndex+`') is not null`).Scan(&exists)
	if err == nil && !exists {
		err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error { return createSchema(ctx, tx) })
	}
	if err != nil {
		return fmt.Errorf("creating the table: %w", err)
	}
	s.ready.Store(true)
	return nil
}

func createSchema(ctx context.Context, tx pgx.Tx) error {
	if _, err := tx.Exec(ctx, "select pg_advisory_xact_lock($1)", int64(schemaLock)); err != nil {
		return err
	}
	for _, statement := range schema {
		if _, err := tx.Exec(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}
