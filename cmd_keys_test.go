package main

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/sethvargo/go-envconfig"

	"gitlab.com/remora-ci/remora/agent/store"
	"gitlab.com/remora-ci/remora/component/delivery"
)

func TestKeysRotate(t *testing.T) {
	dir := t.TempDir()
	old := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{1}, 32))
	next := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{2}, 32))
	open := func(key string) *store.Store {
		s, err := store.Open(t.Context(), store.Config{Dir: dir, Key: delivery.Secret(key)})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := open(old)
	if err := s.Write(t.Context(), func(tx *store.Tx) error { return tx.PutSecret("hook", "canary") }); err != nil {
		t.Fatal(err)
	}
	_ = s.Close()
	env := envconfig.MapLookuper(map[string]string{"REMORA_DATA_DIR": dir, "REMORA_ENCRYPTION_KEY": old, "REMORA_NEW_ENCRYPTION_KEY": next})
	var out, told strings.Builder
	if code := run(t.Context(), []string{"remora", "keys", "rotate"}, env, &out, &told); code != 0 || !strings.Contains(out.String(), "1 secrets") {
		t.Fatalf("exit %d: %s%s", code, out.String(), told.String())
	}
	s = open(next)
	defer func() { _ = s.Close() }()
	if got, err := s.Secret(t.Context(), "hook"); err != nil || got.Reveal() != "canary" {
		t.Errorf("with the new key: %v", err)
	}
	if strings.Contains(out.String()+told.String(), old) || strings.Contains(out.String(), next) {
		t.Error("a key is printed")
	}
}
