package store_test

func appendUntilKilled() bool { return false }
