package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// module is the prefix of our own imports.
const module = "gitlab.com/remora-ci/remora"

// layers is the house: a package imports only packages of a smaller number, so
// siblings never meet. A package without a layer is refused.
var layers = map[string]int{
	".": 9, "scripts/stand": 9,
	"component": 8, "agent": 8, "agent/doctor": 8,
	"agent/config":  7,
	"agent/webhook": 6, "agent/api": 6, "agent/dashboard": 6, "agent/hooks": 6,
	"agent/schedule": 6, "agent/route": 6, "agent/command": 6,
	"component/target": 5, "component/report": 5, "agent/work": 5, "agent/metrics": 5,
	"component/target/direktiv": 4, "component/target/httppost": 4, "component/target/mirror": 4,
	"component/target/port": 4, "component/paths": 4, "agent/store": 4, "agent/auth": 4,
	"component/catalog":  3,
	"component/gitlab":   2,
	"component/trigger":  2,
	"component/rest":     1,
	"component/delivery": 0,
}

// doubles are stand-ins and contracts: each has the layer of what it stands for,
// and is imported by tests and by the stand alone.
var doubles = map[string]int{
	"component/gitlab/gitlabtest":            2,
	"component/trigger/triggertest":          2,
	"component/target/direktiv/direktivtest": 4,
	"component/target/targettest":            4,
	"agent/store/storetest":                  4,
}

// owners are the only packages that may import a module, by the start of its path.
var owners = map[string][]string{
	"github.com/hashicorp/go-retryablehttp": {"component/rest"},
	"github.com/go-git/":                    {"component/target/mirror", "component/paths"},
	"github.com/sethvargo/go-envconfig":     {"component", "agent/config", "."},
	"github.com/urfave/cli/":                {"."},
}

// budgets, in lines and methods.
const (
	maxFile      = 400
	maxFunction  = 60
	maxInterface = 3
)

// vague names say nothing of what a package gives.
var vague = []string{"util", "utils", "common", "helper", "helpers", "model", "models", "types", "misc", "base"}

// goFile is one parsed file of the tree.
type goFile struct {
	pkg     string // folder, from the top, with slashes
	name    string // path from the top
	imports []string
	ast     *ast.File
}

func (f goFile) test() bool { return strings.HasSuffix(f.name, "_test.go") }

// tree parses every Go file but those of folders that the go command passes over.
func tree(t *testing.T) (*token.FileSet, []goFile) {
	t.Helper()
	fset := token.NewFileSet()
	var files []goFile
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if base := d.Name(); d.IsDir() && name != "." && (base[0] == '.' || base[0] == '_' || base == "testdata" || base == "tmp" || base == "dist") {
			return filepath.SkipDir
		}
		if d.IsDir() || filepath.Ext(name) != ".go" {
			return nil
		}
		parsed, err := parser.ParseFile(fset, name, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		f := goFile{pkg: path.Dir(filepath.ToSlash(name)), name: filepath.ToSlash(name), ast: parsed}
		for _, spec := range parsed.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			f.imports = append(f.imports, imported)
		}
		files = append(files, f)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatal("no Go file was found")
	}
	return fset, files
}

// ownPackage is the folder of an import of ours; false for others'.
func ownPackage(imported string) (string, bool) {
	if imported == module {
		return ".", true
	}
	return strings.CutPrefix(imported, module+"/")
}

// checkImport says what is wrong with an import, or "".
func checkImport(pkg string, test bool, imported string) string {
	layer, known := layers[pkg]
	isDouble := false
	if !known {
		layer, isDouble = doubles[pkg]
		if !isDouble {
			return "this folder has no layer: give it one in layers_test.go and docs/architecture.md"
		}
	}
	for start, allowed := range owners {
		if strings.HasPrefix(imported, start) && !slices.Contains(allowed, pkg) {
			return "only " + strings.Join(allowed, ", ") + " may import it"
		}
	}
	own, isOurs := ownPackage(imported)
	if !isOurs {
		return checkForeign(pkg, test || isDouble, imported)
	}
	if double, ok := doubles[own]; ok {
		if test || pkg == "scripts/stand" || isDouble && double < layer {
			return ""
		}
		return "a stand-in is for tests and scripts/stand"
	}
	below, known := layers[own]
	switch {
	case !known:
		return "it has no layer"
	case strings.HasPrefix(pkg+"/", "component/") && strings.HasPrefix(own+"/", "agent/"):
		return "the component never imports the agent"
	case own == pkg && test:
		return "" // an external test of the package itself
	case isDouble && below <= layer, below < layer:
		return ""
	}
	return fmt.Sprintf("layer %d may not import layer %d", layer, below)
}

// checkForeign holds the rules about packages that are not ours.
func checkForeign(pkg string, test bool, imported string) string {
	first, _, _ := strings.Cut(imported, "/")
	switch standard := !strings.Contains(first, "."); {
	case test:
	case pkg == "component/delivery" && !standard:
		return "delivery needs nothing but the standard library"
	case pkg != "scripts/stand" && (imported == "testing" || strings.HasPrefix(imported, "testing/") || imported == "net/http/httptest"):
		return "it is for tests"
	}
	return ""
}

func TestImportsPointDown(t *testing.T) {
	t.Parallel()
	_, files := tree(t)
	for _, f := range files {
		for _, imported := range f.imports {
			if wrong := checkImport(f.pkg, f.test(), imported); wrong != "" {
				t.Errorf("%s imports %s: %s", f.name, imported, wrong)
			}
		}
		if name := path.Base(f.pkg); slices.Contains(vague, name) || slices.Contains(vague, f.ast.Name.Name) {
			t.Errorf("%s: a package called %s says nothing of what it gives", f.name, f.ast.Name.Name)
		}
	}
}

func TestBudgets(t *testing.T) {
	t.Parallel()
	fset, files := tree(t)
	lines := func(n ast.Node) int { return fset.Position(n.End()).Line - fset.Position(n.Pos()).Line + 1 }
	for _, f := range files {
		if f.test() {
			continue
		}
		if n := fset.File(f.ast.Pos()).LineCount(); n > maxFile {
			t.Errorf("%s has %d lines, over %d: which second idea lives in it?", f.name, n, maxFile)
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				if lines(n) > maxFunction {
					t.Errorf("%s: %s has %d lines, over %d", fset.Position(n.Pos()), n.Name.Name, lines(n), maxFunction)
				}
			case *ast.InterfaceType:
				if n.Methods.NumFields() > maxInterface {
					t.Errorf("%s: an interface of %d methods, over %d", fset.Position(n.Pos()), n.Methods.NumFields(), maxInterface)
				}
			}
			return true
		})
	}
}

func TestTheLawRefuses(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		pkg      string
		test     bool
		imported string
		refused  bool
	}{
		"a lower layer is fine":                         {"component/report", false, module + "/component/gitlab", false},
		"an upper layer":                                {"component/gitlab", false, module + "/component/report", true},
		"a sibling":                                     {"component/target/direktiv", false, module + "/component/paths", true},
		"a sibling, also in a test":                     {"component/target/direktiv", true, module + "/component/target/mirror", true},
		"a test imports its own package":                {"component/paths", true, module + "/component/paths", false},
		"the component and the agent":                   {"component", false, module + "/agent/store", true},
		"the agent and the component's parts":           {"agent", false, module + "/component/target", false},
		"the agent and the component's shell":           {"agent", false, module + "/component", true},
		"a folder without a layer":                      {"component/newcomer", false, "fmt", true},
		"an import without a layer":                     {"component", false, module + "/component/newcomer", true},
		"a stand-in in a product package":               {"component/report", false, module + "/component/gitlab/gitlabtest", true},
		"a stand-in in a test is fine":                  {"component/report", true, module + "/component/gitlab/gitlabtest", false},
		"a stand-in in the stand is fine":               {"scripts/stand", false, module + "/component/target/direktiv/direktivtest", false},
		"a stand-in on what it stands for is fine":      {"component/gitlab/gitlabtest", false, module + "/component/gitlab", false},
		"a stand-in above itself":                       {"component/gitlab/gitlabtest", false, module + "/component/report", true},
		"a second importer of the HTTP retries":         {"component/gitlab", false, "github.com/hashicorp/go-retryablehttp", true},
		"the owner of the HTTP retries is fine":         {"component/rest", false, "github.com/hashicorp/go-retryablehttp", false},
		"go-git outside mirror and paths":               {"component", false, "github.com/go-git/go-git/v5/plumbing", true},
		"go-git in paths is fine":                       {"component/paths", false, "github.com/go-git/go-git/v5", false},
		"the environment read in a target":              {"component/target", false, "github.com/sethvargo/go-envconfig", true},
		"the command line outside main":                 {"component", false, "github.com/urfave/cli/v2", true},
		"a module in delivery":                          {"component/delivery", false, "golang.org/x/sync/errgroup", true},
		"a module in a test of delivery is fine":        {"component/delivery", true, "github.com/google/go-cmp/cmp", false},
		"a test server in a product package":            {"component/rest", false, "net/http/httptest", true},
		"a test server in a stand-in is fine":           {"component/gitlab/gitlabtest", false, "net/http/httptest", false},
		"main imports the component and nothing beside": {".", false, module + "/scripts/stand", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if wrong := checkImport(tc.pkg, tc.test, tc.imported); (wrong != "") != tc.refused {
				t.Errorf("got %q, want refused %v", wrong, tc.refused)
			}
		})
	}
}
