package storetest

import (
	"context"
	"fmt"
	"net/url"
)

// Start starts a server for a program that is no test, until Close. The error
// says why there is none.
func Start() (*Server, error) { return startServer() }

// Close ends a server that Start has started, and removes its files.
func (s *Server) Close() error { return s.commands.Close() }

// Create makes a database on the server and returns its address.
func (s *Server) Create(ctx context.Context, name string) (string, error) {
	if err := command(ctx, s.URL, "CREATE DATABASE "+name); err != nil {
		return "", fmt.Errorf("create database %s: %w", name, err)
	}
	u, err := url.Parse(s.URL)
	if err != nil {
		return "", err
	}
	u.Path = "/" + name
	return u.String(), nil
}
