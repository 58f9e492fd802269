package gitlabtest

// Scene is a world in which a merge-request job can run.
type Scene struct {
	Project      Project // acme/app, private
	Bot          User    // a developer of it
	Token        string  // the bot's
	Person       User    // who opened the merge request
	Base         string  // head of main, where feature began
	SHA          string  // head of feature
	MergeRequest MergeRequest
	Pipeline     Pipeline // of the merge request, at SHA, with the job "sync"
}

// Populate makes a scene: one project with the branches main and feature, and a
// merge request !7 whose pipeline 1001 runs the CI job "sync".
func (s *Server) Populate() Scene {
	sc := Scene{Token: "glpat-remora-bot-0123456789"}
	sc.Bot = s.AddUser(User{Username: "remora-bot", Bot: true}, sc.Token)
	sc.Person = s.AddUser(User{Username: "mona"}, "glpat-mona-0123456789")
	sc.Project = s.AddProject(Project{ID: 42, Path: "acme/app"})
	s.AddMember(sc.Project.ID, sc.Bot.ID, Developer)
	s.AddMember(sc.Project.ID, sc.Person.ID, Maintainer)
	sc.Base = s.AddCommit(42, Commit{SHA: "ba5e000000000000000000000000000000000001", Paths: []string{"README.md"}, Branches: []string{"main"}}).SHA
	sc.SHA = s.AddCommit(42, Commit{
		SHA: "c0ffee1200000000000000000000000000000002", Parents: []string{sc.Base}, Paths: []string{"flows/hello.yaml"}, Branches: []string{"feature"},
	}).SHA
	sc.MergeRequest = s.AddMergeRequest(42, MergeRequest{IID: 7, SourceBranch: "feature", AuthorID: sc.Person.ID})
	sc.Pipeline = s.AddPipeline(42, Pipeline{
		ID: 1001, SHA: sc.SHA, Ref: "refs/merge-requests/7/head", Source: "merge_request_event", MergeRequest: 7, Jobs: []string{"sync"}, UserID: sc.Person.ID,
	})
	return sc
}
