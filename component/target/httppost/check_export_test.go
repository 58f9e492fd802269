package httppost

// CheckToken is what a check says of the secrets of a target.
var CheckToken = (*Target).checkToken
