/*
 * spool.pml - an output that can't be cut: journal, spool and pipe.
 *
 * Stands for: output_write(), output_commit(), output_send() (runtime/collector/output.c) and the
 * beginning of a successor: records are appended to the spool, committed by the journal, and moved
 * into the pipe by sendfile(2), which moves the spool's file offset in the same call and takes as
 * much as the pipe has room for; a reader takes from the pipe at any moment.
 * One access per step: an append (which may be torn: a part of a record), the journal's word, one
 * sendfile of one unit. Abstracted: a record is two units, of the file as of the pipe; which of
 * the two records comes first is open until one is committed, as hints come in any order.
 * Sizes: R records, a pipe of 2 units, MAXK deaths.
 * Property: each unit of each record is sent once, a record's one behind the other, and in the end
 * the reader has all.
 * Mutations (must fail): -DSENDALL (what isn't committed is sent too) -DNOCUT (a successor leaves a
 * torn tail) -DOWNOFFSET (the offset is a word, stored behind a plain write) -DCUTSENT (a successor
 * cuts what was sent).
 */
#define R 2
#define UNITS 2
#ifndef MAXK
#define MAXK 2
#endif
byte length;                            /* of the spool, in units */
byte journal;                           /* units that are committed */
byte offset;                            /* units that were sent: moved by the kernel */
byte pipe, got;                         /* units in the pipe, and that the reader has */
bit dead, gone; byte kills;
byte unit[R * UNITS + 2];               /* what the spool holds at each place */
byte first, last;                       /* the record that came first; the unit sent last */
#define UNIT(k) (((k / UNITS + first) % R) * UNITS + k % UNITS + 1)

inline send(end) {
	atomic {
		if
		:: offset < end && pipe < 2 ->
			assert(unit[offset] % UNITS == 1 || unit[offset] == last + 1);
			assert(unit[offset] != last);
			last = unit[offset];
			pipe++;
#ifndef OWNOFFSET
			offset++
#endif
		:: else                   /* EAGAIN */
		fi };
#ifdef OWNOFFSET
	offset++
#endif
}
proctype collector() {
	byte k;
	{
#ifdef CUTSENT
	length = offset; journal = offset;
#endif
#ifndef NOCUT
	length = journal;                 /* ftruncate */
#endif
	do
	:: journal == R * UNITS && offset == journal -> break
	:: journal < R * UNITS ->
		k = journal;
		if
		:: k == 0 -> first = 0
		:: k == 0 -> first = 1
		:: k > 0
		fi;
		do                        /* one record; torn if it dies in between */
		:: k < journal + UNITS -> atomic { unit[length] = UNIT(k); length++; k++ }
		:: else -> break
		od;
#ifdef SENDALL
		send(length);
#endif
		atomic { journal = journal + UNITS; k = 0 };
	:: offset < journal -> send(journal)
	od
	} unless { atomic { dead -> gone = 1 } }
}
active proctype reader() {
end:	do
	:: atomic { pipe > 0 -> pipe--; got++ }
	od
}
active proctype supervisor() {
end:	do
	:: atomic { gone -> gone = 0; dead = 0; run collector() }
	od
}
active proctype killer() {
	do
	:: atomic { kills < MAXK && !dead -> dead = 1; kills++ }
	:: break
	od
}
active proctype checker() {
	atomic { timeout; assert(got == R * UNITS) }
}
init { run collector() }
