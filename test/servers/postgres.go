package servers

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
)

// Password is what the PostgreSQL of a test asks for. No message may hold it.
const Password = "s3cret-of-the-test"

// PostgreSQL is a database server with one database, which its URL names.
type PostgreSQL struct {
	Server

	databases atomic.Int64
}

// StartPostgreSQL starts a PostgreSQL. Its data are as durable as the test.
func StartPostgreSQL(t testing.TB) *PostgreSQL {
	t.Helper()
	const installed = "/usr/lib/postgresql/*/bin"
	initdb, postgres := binary(t, "initdb", installed), binary(t, "postgres", installed)
	who, err := account()
	if err != nil {
		t.Fatalf("PostgreSQL refuses to run as root: %v", err)
	}
	folder := t.TempDir()
	data, password := filepath.Join(folder, "data"), filepath.Join(folder, "password")
	if err := os.WriteFile(password, []byte(Password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if who != nil {
		// The folder above is the test's own, and closed to others.
		if err := os.Chmod(filepath.Dir(folder), 0o711); err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{folder, password} {
			if err := os.Chown(path, int(who.Uid), int(who.Gid)); err != nil {
				t.Fatal(err)
			}
		}
	}
	create := exec.CommandContext(t.Context(), initdb, "--pgdata="+data, "--username=postgres", "--pwfile="+password, "--auth=scram-sha-256",
		"--encoding=UTF8", "--no-locale", "--no-sync", "--no-instructions")
	create.Dir = folder
	create.SysProcAttr = &syscall.SysProcAttr{Credential: who}
	if output, err := create.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", initdb, err, output)
	}

	address, port := ReservePort(t)
	p := &PostgreSQL{Server: Server{
		address: address,
		url:     fmt.Sprintf("postgres://postgres:%s@%s/postgres?sslmode=disable", Password, address),
		log:     filepath.Join(folder, "log"),
		command: []string{
			postgres, "-D", data, "-c", "listen_addresses=127.0.0.1", "-c", "port=" + strconv.Itoa(port), "-c", "unix_socket_directories=",
			"-c", "fsync=off", "-c", "full_page_writes=off", "-c", "shared_buffers=16MB", "-c", "max_connections=60",
		},
		account:    who,
		stopSignal: syscall.SIGINT,
		// Unlike SIGKILL it takes the children and the shared memory along.
		deathSignal: syscall.SIGQUIT,
	}}
	p.ping = func(ctx context.Context) error { return p.exec(ctx, "select 1") }
	p.follow(t)
	p.Start(t)
	return p
}

// NewDatabase returns the URL of another, empty database.
func (p *PostgreSQL) NewDatabase(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("test%d", p.databases.Add(1))
	p.Exec(t, "create database "+name)
	return fmt.Sprintf("postgres://postgres:%s@%s/%s?sslmode=disable", Password, p.address, name)
}

// Exec runs a statement in the database that URL names.
func (p *PostgreSQL) Exec(t testing.TB, sql string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), longest)
	defer cancel()
	if err := p.exec(ctx, sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func (p *PostgreSQL) exec(ctx context.Context, sql string) error {
	conn, err := pgx.Connect(ctx, p.url)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	_, err = conn.Exec(ctx, sql)
	return err
}
