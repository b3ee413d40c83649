/*
 * journal.pml - several contexts in one commit of the collector, and their slots' next contexts.
 *
 * Stands for: mr_emission_commit(), apply_journal() and mr_emission_open() (ipc/emission.c): the
 * collector appends what is new of two slots, commits it all by one journal record {(handle, mark,
 * final) of each}, then copies the marks to the slots and frees those that are final; the tokenizer
 * fills a free slot with its next context at any moment; the collector dies anywhere, its successor
 * cuts the output and applies the record once more.
 * One access per step: each append, the journal's word, each load of a state, each store of a mark,
 * each freeing, each filling. Abstracted: a context's tokens are there as soon as it is (one
 * token and a final record); the output is, for each context, how many records of it are committed
 * and how many lie behind that.
 * Sizes: 2 slots with G contexts each, one after the other; MAXK deaths.
 * Properties: each record of each context is appended once and in order; in the end all are
 * committed and all contexts are freed.
 * Mutations (must fail): -DNOGEN (a record is applied to whatever the slot holds now) -DONEPART (a
 * successor applies the first part alone) -DFREEFIRST (freed before the commit) -DMARKFIRST (marks
 * before the commit) -DNOCUT.
 */
#define G 2
#define LAST 2                          /* records of a context: a piece, then the final one */
#ifndef MAXK
#define MAXK 2
#endif
byte gen[2], mark[2]; bit used[2];      /* the slots: generation, emitted mark, in use */
byte there[2 * G];                      /* records of a context that are committed */
byte tail[2 * G];                       /* and that lie behind the committed length */
byte jgen[2], jmark[2]; bit jpart[2];   /* the journal: its record, of one word */
bit dead, gone; byte kills;
#define CONTEXT(s) ((s) * G + gen[s])

inline apply(s) {
	if
#ifdef NOGEN
	:: jpart[s] && used[s] ->
#else
	:: jpart[s] && used[s] && gen[s] == jgen[s] ->
#endif
		mark[s] = jmark[s];
		if
		:: jmark[s] == LAST -> atomic { used[s] = 0; gen[s]++ }
		:: else
		fi
	:: else
	fi
}
inline take(s) {                        /* append some of what is new */
	if
	:: used[s] && mark[s] < LAST ->
		atomic { k = mark[s]; ng[s] = gen[s]; np[s] = 1 };
		do
		:: k < LAST ->
			atomic { assert(there[CONTEXT(s)] + tail[CONTEXT(s)] == k);
				tail[CONTEXT(s)]++; k++ };
			if
			:: true -> break        /* the rest is not there yet */
			:: true
			fi
		:: else -> break
		od;
		atomic { nm[s] = k; k = 0 };
#ifdef MARKFIRST
		mark[s] = nm[s];
#endif
#ifdef FREEFIRST
		if
		:: nm[s] == LAST -> atomic { used[s] = 0; gen[s]++ }
		:: else
		fi
#endif
	:: true -> np[s] = 0              /* nothing new, or left for the next commit */
	fi
}
proctype collector() {
	byte k; byte ng[2], nm[2]; bit np[2];
	{
	/* a successor: cut, then apply the record again */
#ifndef NOCUT
	atomic { tail[0] = 0; tail[1] = 0; tail[2] = 0; tail[3] = 0 };
#endif
	apply(0);
#ifndef ONEPART
	apply(1);
#endif
	do
	:: gen[0] == G && gen[1] == G -> break
	:: else ->
		take(0); take(1);
		atomic {                  /* the commit: one word picks the whole record */
			if
			:: np[0] || np[1] ->
				jpart[0] = np[0]; jgen[0] = ng[0]; jmark[0] = nm[0];
				jpart[1] = np[1]; jgen[1] = ng[1]; jmark[1] = nm[1];
				there[0] = there[0] + tail[0]; tail[0] = 0;
				there[1] = there[1] + tail[1]; tail[1] = 0;
				there[2] = there[2] + tail[2]; tail[2] = 0;
				there[3] = there[3] + tail[3]; tail[3] = 0
			:: else
			fi };
		apply(0); apply(1);
		atomic { np[0] = 0; np[1] = 0; ng[0] = 0; ng[1] = 0; nm[0] = 0; nm[1] = 0 }
	od
	} unless { atomic { dead -> gone = 1 } }
}
active proctype tokenizer() {
	do
	:: atomic { !used[0] && gen[0] < G -> used[0] = 1; mark[0] = 0 }
	:: atomic { !used[1] && gen[1] < G -> used[1] = 1; mark[1] = 0 }
	:: gen[0] == G && gen[1] == G -> break
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
	byte i;
	atomic { timeout; assert(gen[0] == G && gen[1] == G);
		do :: i < 2 * G -> assert(there[i] == LAST); i++ :: else -> break od }
}
init { run collector() }
