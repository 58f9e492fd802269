package mirror

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"
	"github.com/go-git/go-git/v5/plumbing/storer"
)

// fetch brings want with all its history into into, over a conversation with
// upload-pack. haves are what into holds in full; limit bounds the bytes of the
// answer, 0 for none.
func fetch(ctx context.Context, t *talk, into storer.PackfileWriter, want plumbing.Hash, haves []plumbing.Hash, limit int64) error {
	req := packp.NewUploadPackRequestFromCapabilities(t.refs.Capabilities)
	req.Wants, req.Haves = []plumbing.Hash{want}, haves
	if t.refs.Capabilities.Supports(capability.NoProgress) {
		_ = req.Capabilities.Set(capability.NoProgress)
	}
	var body bytes.Buffer
	err := errors.Join(req.UploadRequest.Encode(&body), req.UploadHaves.Encode(&body, false), pktline.NewEncoder(&body).EncodeString("done\n"))
	if err != nil {
		return fmt.Errorf("encode request: %w", err)
	}
	answer, err := t.exchange(ctx, &body, int64(body.Len()))
	if err != nil {
		return err
	}
	defer func() { _ = answer.Close() }()
	if limit > 0 {
		answer = struct {
			io.Reader
			io.Closer
		}{&limited{answer, limit, "pack"}, answer}
	}
	res := packp.NewUploadPackResponse(req)
	if err := res.Decode(answer); err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	if err := packfile.WritePackfileToObjectStorage(into, demux(req.Capabilities, res, nil)); err != nil {
		return fmt.Errorf("read pack: %w", err)
	}
	return nil
}

// demux separates the answer from what is said beside it.
func demux(abilities *capability.List, r io.Reader, beside io.Writer) io.Reader {
	kind := sideband.Sideband64k
	switch {
	case abilities.Supports(capability.Sideband64k):
	case abilities.Supports(capability.Sideband):
		kind = sideband.Sideband
	default:
		return r
	}
	d := sideband.NewDemuxer(kind, r)
	if beside != nil {
		d.Progress = beside
	}
	return d
}

// refusedError is a push that the server did not carry out.
type refusedError struct {
	reason string // of the ref: "pre-receive hook declined"
	said   string // by its hooks, on one line
}

func (e *refusedError) Error() string {
	if e.said == "" {
		return "remote refused: " + e.reason
	}
	return "remote refused: " + e.reason + ": " + e.said
}

// incomplete says whether the server could not make sense of the pack, as after
// a cache that has rotted.
func (e *refusedError) incomplete() bool {
	return strings.HasPrefix(e.reason, "unpack") || strings.Contains(e.reason, "missing necessary objects")
}

var errNoDelete = errors.New("the remote does not let refs be deleted")

// push asks receive-pack to move one ref from what the conversation showed to
// another commit, with the pack of what it lacks; a new hash of zero deletes. It
// returns once the server says that it is done, or a [refusedError].
func push(ctx context.Context, t *talk, cmd *packp.Command, pack *os.File, beside *progress) error {
	able := t.refs.Capabilities
	if cmd.Action() == packp.Delete && !able.Supports(capability.DeleteRefs) {
		return errNoDelete
	}
	req := packp.NewReferenceUpdateRequestFromCapabilities(able)
	req.Commands = []*packp.Command{cmd}
	switch {
	case able.Supports(capability.Sideband64k):
		_ = req.Capabilities.Set(capability.Sideband64k)
	case able.Supports(capability.Sideband):
		_ = req.Capabilities.Set(capability.Sideband)
	}
	body, size, err := pushBody(req, pack)
	if err != nil {
		return fmt.Errorf("encode request: %w", err)
	}
	answer, err := t.exchange(ctx, body, size)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Close() }()
	if !req.Capabilities.Supports(capability.ReportStatus) {
		// What became of it is seen when the remote is asked afterwards.
		_, err := io.Copy(io.Discard, &limited{answer, maxReport, "answer"})
		return err
	}
	report, rest := packp.NewReportStatus(), demux(req.Capabilities, &limited{answer, maxReport, "answer"}, beside)
	if err := report.Decode(rest); err != nil {
		return fmt.Errorf("read report: %w", err)
	}
	// Hooks that run afterwards still speak; what goes wrong now changes nothing.
	_, _ = io.Copy(io.Discard, rest)
	return verdict(report, beside)
}

// pushBody is the request with the pack after it; its size is known, for not
// every server takes a body of unknown length.
func pushBody(req *packp.ReferenceUpdateRequest, pack *os.File) (io.Reader, int64, error) {
	var head bytes.Buffer
	if err := req.Encode(&head); err != nil {
		return nil, 0, err
	}
	if pack == nil {
		return &head, int64(head.Len()), nil
	}
	info, err := pack.Stat()
	if err != nil {
		return nil, 0, err
	}
	size := int64(head.Len()) + info.Size()
	return io.MultiReader(&head, io.NewSectionReader(pack, 0, info.Size())), size, nil
}

func verdict(report *packp.ReportStatus, beside *progress) error {
	for _, s := range report.CommandStatuses {
		if s.Error() != nil {
			return &refusedError{reason: clean(s.Status, 200), said: beside.quoted()}
		}
	}
	if report.Error() != nil {
		return &refusedError{reason: "unpack: " + clean(report.UnpackStatus, 200), said: beside.quoted()}
	}
	return nil
}
