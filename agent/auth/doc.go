// Package auth decides who is calling: is this webhook GitLab's, for which projects
// does its secret speak, and which CI job has this ID token?
//
// Its rules:
//
//   - Fail closed. Nothing configured means that nobody may call.
//   - A call with the header webhook-signature is judged by its signature and by
//     nothing else; a wrong one does not fall back to X-Gitlab-Token.
//   - X-Gitlab-Token is a shared secret, a project token of ours (see [Issue]) or
//     a token of Packit. Secrets are compared in constant time, and every
//     candidate is compared.
//   - Each key has one algorithm, chosen by us and never by the token.
//   - A token is good for its path alone: who has parsed the body asks
//     [Verifier.Covers] before the call counts.
//   - The ID token of a job is judged by [IDTokens]: RS256 alone, the key that it
//     names alone, and each refusal names the claim that did not hold. Keys that
//     cannot be read refuse nobody; that is a [*KeysError].
//   - What can be refused without the body is refused without it, see
//     [Verifier.Admit]; so a stranger cannot fill the memory.
//   - Every refusal is a [*Refusal]: the whole reason for the log, one sentence
//     for the caller, and the secret in neither.
package auth
