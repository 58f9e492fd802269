package api

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"gitlab.com/remora-ci/remora/agent/store"
)

// parseCursor reads where the last page ended: the id of its last row. Empty text
// is the first page.
func parseCursor(text string) (before int64, err error) {
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n <= 0 || strconv.FormatInt(n, 10) != text {
		return 0, errors.New("want the next_cursor of the page before")
	}
	return n, nil
}

// Page is which rows of a list are wanted.
type Page struct {
	Since  string `query:"since" maxLength:"40" doc:"that old or younger: 90m, 2h, 7d, or a time such as 2026-11-20T14:00:00Z"`
	Limit  int    `query:"limit" minimum:"1" maximum:"500" default:"50" doc:"how many, the newest"`
	Cursor string `query:"cursor" maxLength:"20" doc:"next_cursor of the page before"`
}

func (p Page) read(now time.Time) (since time.Time, before int64, err error) {
	since, sinceErr := store.ParseSince(p.Since, now.UTC())
	before, cursorErr := parseCursor(p.Cursor)
	return since, before, invalid(map[string]error{"query.since": sinceErr, "query.cursor": cursorErr})
}

// invalid is the refusal of parameters, or nil.
func invalid(faults map[string]error) error {
	for name, err := range faults {
		if err != nil {
			detail := fmt.Sprintf("%s: %v", name, err)
			return &Refused{Status: http.StatusUnprocessableEntity, Title: "not valid", Detail: detail, Log: detail}
		}
	}
	return nil
}

// nextCursor cuts the row too many off a page, and says where the next one begins;
// "" if there is none.
func nextCursor[T any](rows []T, limit int, id func(T) int64) ([]T, string) {
	if len(rows) <= limit {
		return rows, ""
	}
	rows = rows[:limit]
	return rows, strconv.FormatInt(id(rows[limit-1]), 10)
}
