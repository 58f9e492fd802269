package gitlab

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// plain decodes an element as the official client knows it.
func plain[From, To any](to func(From) To) func(*json.Decoder) (To, error) {
	return func(dec *json.Decoder) (To, error) {
		var from From
		err := dec.Decode(&from)
		return to(from), err
	}
}

// array reads a JSON array, calling element for each of its elements.
func array(dec *json.Decoder, element func() error) error {
	if err := delim(dec, '['); err != nil {
		return err
	}
	for dec.More() {
		if err := element(); err != nil {
			return err
		}
	}
	return delim(dec, ']')
}

// object reads a JSON object, calling member for each key; what member does not
// read is skipped.
func object(dec *json.Decoder, member func(key string) (read bool, err error)) error {
	if err := delim(dec, '{'); err != nil {
		return err
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return err
		}
		read, err := member(fmt.Sprint(key))
		if err != nil {
			return err
		}
		if !read {
			var skipped json.RawMessage
			if err := dec.Decode(&skipped); err != nil {
				return err
			}
		}
	}
	return delim(dec, '}')
}

func delim(dec *json.Decoder, want json.Delim) error {
	got, err := dec.Token()
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	if err == nil && got != want {
		return fmt.Errorf("got %.20q, want %q", fmt.Sprint(got), want)
	}
	return err
}
