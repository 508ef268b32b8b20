package koji

// ReadTask is readTask, for tests.
var ReadTask = readTask
