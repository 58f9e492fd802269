package httppost

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/itchyny/gojq"
)

const (
	maxRun  = 2 * time.Second // of one expression
	maxText = 1 << 20         // bytes that an expression may give
)

// expression is a compiled jq expression and the variable it came from.
type expression struct {
	name string
	code *gojq.Code
}

// compile is nil without a text. No environment, input or module is given to
// the compiler, so an expression that asks for one is refused here or finds
// nothing.
func compile(name, text string) (*expression, error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	query, err := gojq.Parse(text)
	if err != nil {
		var at *gojq.ParseError
		if errors.As(err, &at) {
			return nil, fmt.Errorf("%s: not a jq expression: %w at byte %d", name, err, at.Offset)
		}
		return nil, fmt.Errorf("%s: not a jq expression: %w", name, err)
	}
	code, err := gojq.Compile(query)
	if err != nil {
		return nil, fmt.Errorf("%s: jq: %w", name, err)
	}
	return &expression{name, code}, nil
}

// run gives the one value of the expression; ok is false if it gives none.
func (e *expression) run(ctx context.Context, input any) (value any, ok bool, err error) {
	limited, cancel := context.WithTimeout(ctx, maxRun)
	defer cancel()
	values := e.code.RunWithContext(limited, input)
	for {
		next, more := values.Next()
		if !more {
			return value, ok, nil
		}
		if err, bad := next.(error); bad {
			if limited.Err() != nil && ctx.Err() == nil {
				err = fmt.Errorf("took longer than %s", maxRun)
			}
			return nil, false, err
		}
		if ok {
			return nil, false, errors.New("gives more than one value; wrap it in [ ] or take the first")
		}
		value, ok = next, true
	}
}

// asInput is v as jq knows it. Numbers keep all their digits.
func asInput(v any) (any, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return decode(raw)
}

// decode reads exactly one JSON value.
func decode(raw []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more after the first JSON value")
	}
	return v, nil
}

// encode writes a value of jq as JSON.
func encode(v any) ([]byte, error) {
	raw, err := gojq.Marshal(v)
	if err != nil {
		return nil, err
	}
	if len(raw) > maxText {
		return nil, fmt.Errorf("gives more than %d MiB", maxText>>20)
	}
	return raw, nil
}
