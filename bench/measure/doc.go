// Package measure reads what a process has used: processor time, system calls, heap objects and memory of this
// process, and the commands of a Redis. It keeps latencies, too, without a loss of precision.
//
// What an operating system does not tell is missing, and stays so in the tables: it is never taken for zero.
package measure
