package store

// The statements whose cost must not grow with the tables.
const (
	ReceivedSQL  = receivedSQL
	WaitingWhere = waitingWhere
)

// Why is why.
var Why = why
