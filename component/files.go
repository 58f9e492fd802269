package component

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"gitlab.com/remora-ci/remora/component/delivery"
)

func milliseconds(ms int64) time.Duration { return time.Duration(ms) * time.Millisecond }

// writeFiles writes the files that GitLab shows. One that cannot be written does
// not keep the others from being written.
func (r Result) writeFiles(j Job) error {
	var errs []error
	for _, f := range []struct {
		variable, path string
		content        func() ([]byte, error)
	}{
		{"REMORA_JUNIT", j.JUnit, r.junit},
		{"REMORA_DOTENV", j.Dotenv, r.dotenv},
		{"REMORA_ANNOTATIONS", j.Annotations, r.annotations},
	} {
		if f.path == "" {
			continue
		}
		content, err := f.content()
		if err == nil {
			err = write(f.path, content)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", f.variable, err))
		}
	}
	return errors.Join(errs...)
}

func write(path string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, content, 0o644)
}

type testSuite struct {
	XMLName  xml.Name   `xml:"testsuite"`
	Name     string     `xml:"name,attr"`
	Tests    int        `xml:"tests,attr"`
	Failures int        `xml:"failures,attr"`
	Skipped  int        `xml:"skipped,attr"`
	Cases    []testCase `xml:"testcase"`
}

type testCase struct {
	Class   string      `xml:"classname,attr"`
	Name    string      `xml:"name,attr"`
	Time    string      `xml:"time,attr"`
	Failure *testDetail `xml:"failure"`
	Skipped *testDetail `xml:"skipped"`
	Output  string      `xml:"system-out,omitempty"`
}

type testDetail struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// junit is one test case for each target.
//
// https://docs.gitlab.com/ci/testing/unit_test_reports/
func (r Result) junit() ([]byte, error) {
	suite := testSuite{Name: "remora " + r.Name, Tests: len(r.Targets)}
	for _, e := range r.Targets {
		c := testCase{Class: r.Name, Name: strings.TrimSpace(clean(e.Target + " " + e.Place)), Time: fmt.Sprintf("%.3f", milliseconds(e.TookMS).Seconds())}
		switch {
		case e.State == string(delivery.Skipped), e.Optional && e.State == string(delivery.Failed):
			suite.Skipped++
			c.Skipped = &testDetail{Message: clean(e.Summary)}
		case e.State != string(delivery.Done):
			suite.Failures++
			c.Failure = &testDetail{Message: clean(e.Summary), Text: e.explanation()}
		}
		c.Output = e.output()
		suite.Cases = append(suite.Cases, c)
	}
	body, err := xml.MarshalIndent(suite, "", "  ")
	return append([]byte(xml.Header), append(body, '\n')...), err
}

func (e Entry) explanation() string {
	var b strings.Builder
	b.WriteString(clean(e.Cause) + "\n")
	line(&b, "try", e.Remedy)
	line(&b, "request", e.Request)
	return b.String()
}

func (e Entry) output() string {
	var b strings.Builder
	for _, w := range e.Warnings {
		line(&b, "warning", w)
	}
	for _, l := range e.Log {
		line(&b, "log", strings.TrimSpace(l.Level+" "+l.Text))
	}
	return b.String()
}

var notInName = regexp.MustCompile(`[^A-Z0-9]+`)

// maxDotenv is GitLab's default for the size of the file, in bytes.
const maxDotenv = 5120

// dotenv is a handful of variables: SYNC_STATE, SYNC_URL and for each target
// SYNC_DIREKTIV_STATE, _ID, _URL, _REVISION, where SYNC is the job's REMORA_NAME.
//
// https://docs.gitlab.com/ci/yaml/artifacts_reports/#artifactsreportsdotenv
func (r Result) dotenv() ([]byte, error) {
	var b strings.Builder
	set := func(key, value string) {
		if value = clean(value); len(value) <= 255 {
			fmt.Fprintf(&b, "%s=%s\n", variable(key), value)
		}
	}
	set(r.Name+"_STATE", r.State)
	set(r.Name+"_URL", r.firstURL())
	for _, e := range r.Targets {
		set(r.Name+"_"+e.Target+"_STATE", e.State)
		for _, v := range []pair{{"_ID", e.ID}, {"_URL", e.URL}, {"_REVISION", e.Revision}} {
			if v.value != "" {
				set(r.Name+"_"+e.Target+v.name, v.value)
			}
		}
	}
	if b.Len() > maxDotenv {
		return nil, fmt.Errorf("%d bytes are more than the %d that GitLab takes", b.Len(), maxDotenv)
	}
	return []byte(b.String()), nil
}

func variable(name string) string {
	return strings.Trim(notInName.ReplaceAllString(strings.ToUpper(name), "_"), "_")
}

func (r Result) firstURL() string {
	for _, e := range r.Targets {
		if e.URL != "" {
			return e.URL
		}
	}
	return r.Report.NoteURL
}

type externalLink struct {
	Link struct {
		Label string `json:"label"`
		URL   string `json:"url"`
	} `json:"external_link"`
}

// annotations are the links on the job's page.
//
// https://docs.gitlab.com/ci/yaml/artifacts_reports/#artifactsreportsannotations
func (r Result) annotations() ([]byte, error) {
	links := []externalLink{}
	add := func(label, url string) {
		if strings.HasPrefix(url, "https://") || strings.HasPrefix(url, "http://") {
			var l externalLink
			l.Link.Label, l.Link.URL = clean(label), url
			links = append(links, l)
		}
	}
	for _, e := range r.Targets {
		add(strings.TrimSpace(e.Target+" "+e.Place)+": "+e.State, e.URL)
	}
	add("note on the merge request", r.Report.NoteURL)
	return json.MarshalIndent(map[string][]externalLink{"Remora " + r.Name: links}, "", "  ")
}
