package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// relisten is how long to wait before a lost connection is opened again.
const relisten = time.Second

// Listen calls f when another agent has notified channel, and once when it begins
// to listen, until ctx ends. What is missed while the connection is away is found
// by polling. SQLite has nobody to listen to: Listen just waits.
func (s *Store) Listen(ctx context.Context, channel string, f func()) {
	if !s.dialect.postgres {
		<-ctx.Done()
		return
	}
	for ctx.Err() == nil {
		_ = s.listenOnce(ctx, channel, f) // polling goes on meanwhile
		select {
		case <-time.After(relisten):
		case <-ctx.Done():
		}
	}
}

func (s *Store) listenOnce(ctx context.Context, channel string, f func()) error {
	conn, err := s.read.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	return conn.Raw(func(raw any) error {
		c, ok := raw.(*stdlib.Conn)
		if !ok {
			return driver.ErrBadConn
		}
		if _, err := c.Conn().Exec(ctx, "LISTEN "+channel); err != nil {
			return err
		}
		for {
			f()
			if _, err := c.Conn().WaitForNotification(ctx); err != nil {
				return driver.ErrBadConn // a connection that listens goes back to nobody
			}
		}
	})
}

// broken says whether the connection ended under a statement.
func broken(err error) bool {
	var network net.Error
	return errors.As(err, &network) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || pgconn.SafeToRetry(err)
}
