/*
 * choices.pml - a record that becomes two contexts: taken in whole, also in two lives.
 *
 * Stands for: mr_intake_admit() and mr_intake_open() (ipc/intake.c) with requests of C choices: all
 * slots are taken at once or none, filled, published one by one, then the mark moves. R records,
 * S slots, a tokenizer that dies anywhere and its successors; workers that finish any READY
 * context; a collector that frees the contexts of a record, one by one, once all are DONE (its own
 * death: journal.pml).
 * One access per step: each CAS of a state, each store of an ordinal, the mark, each load of
 * recovery. Abstracted: the choice of a slot is stored with its ordinal.
 * Sizes: R=2, C=2, S=3, MAXK=2 deaths.
 * Properties: each choice of each record is accepted exactly once; at the end all are emitted and
 * all slots are FREE (so nothing waits for a choice that never comes).
 * Mutations (must fail): -DMARKEARLY (the mark moves behind the first choice) -DREMAKE (a record
 * that is partly there is made whole again) -DSKIPPARTIAL (recovery takes a part for the whole)
 * -DWIPEFREE (a free slot forgets its ordinal).
 */
#define R 2
#define C 2
#ifndef S
#define S 3
#endif
#ifndef MAXK
#define MAXK 2
#endif
#define FREE 0
#define FILLING 1
#define READY 2
#define DONE 3
byte state[S], ord[S], choice[S], mark, kills, emitted;
byte acc[(R + 1) * C];
bit dead, gone;

proctype tokenizer() {
	byte c, i, w, there, partial, k, got;
	byte mine[C];
	{
	c = mark; i = 0;
	do                                        /* find_accepted() */
	:: i < S ->
		atomic { w = state[i] };
		if
		:: w != FILLING && ord[i] > c -> c = ord[i]; there = 1
		:: w != FILLING && ord[i] == c && c > mark -> there++
		:: else
		fi;
		atomic { i++; w = 0 }
	:: else -> break
	od;
#ifndef SKIPPARTIAL
	if
	:: c > mark && there < C -> partial = c; c = mark
	:: else
	fi;
#endif
	atomic { i = 0; there = 0 };
	do                                        /* rebuild() */
	:: i < S ->
		if
		:: state[i] == FILLING -> ord[i] = 0; state[i] = FREE
		:: else
		fi;
		i++
	:: else -> break
	od;
	mark = c;
	do
	:: c < R ->
		atomic {                          /* which choices are missing? is_there() */
			i = 0; k = 0; got = 0;
			mine[0] = 1; mine[1] = 1;
#ifndef REMAKE
			do
			:: i < S ->
				if
				:: partial == c + 1 && state[i] >= READY && ord[i] == c + 1 ->
					mine[choice[i]] = 0
				:: else
				fi;
				i++
			:: else -> break
			od;
#endif
			i = 0 };
		/* all at once or none: only the tokenizer takes, so what it has seen FREE stays so */
		atomic { ((state[0] == FREE) + (state[1] == FREE) + (state[2] == FREE) >=
			mine[0] + mine[1]); i = 0; k = 0 };
		do
		:: k < C && mine[k] && state[i] == FREE -> state[i] = FILLING; ord[i] = c + 1;
			atomic { choice[i] = k; mine[k] = 2 + i; k++; i++ }
		:: k < C && mine[k] && state[i] != FREE -> i++
		:: k < C && !mine[k] -> k++
		:: else -> break
		od;
		k = 0;
		do
		:: k < C && mine[k] ->
			atomic { state[mine[k] - 2] = READY; acc[(c + 1) * C + k - C]++;
				assert(acc[(c + 1) * C + k - C] == 1) };
#ifdef MARKEARLY
			mark = c + 1;
#endif
			k++
		:: k < C && !mine[k] -> k++
		:: else -> break
		od;
		atomic { c++; i = 0; k = 0; partial = 0; mine[0] = 0; mine[1] = 0 };
		mark = c
	:: else -> break
	od
	} unless { atomic { dead -> gone = 1 } }
}
active proctype workers() {
end:	do
	:: state[0] == READY -> state[0] = DONE
	:: state[1] == READY -> state[1] = DONE
	:: state[2] == READY -> state[2] = DONE
	od
}
/* Both choices of a record are DONE: the answer is written, and their slots are freed. */
#define BOTH(a, b) (state[a] == DONE && state[b] == DONE && ord[a] == ord[b] && choice[a] != choice[b])
inline release(a) {
#ifdef WIPEFREE
	ord[a] = 0;
#endif
	state[a] = FREE
}
active proctype collector() {
end:	do
	:: BOTH(0, 1) -> emitted++; release(0); release(1)
	:: BOTH(0, 2) -> emitted++; release(0); release(2)
	:: BOTH(1, 2) -> emitted++; release(1); release(2)
	od
}
active proctype supervisor() {
end:	do
	:: atomic { gone -> gone = 0; dead = 0; run tokenizer() }
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
	atomic { timeout; assert(emitted == R);
		do :: i < R * C -> assert(acc[i] == 1); i++ :: else -> break od;
		assert(state[0] == FREE && state[1] == FREE && state[2] == FREE) }
}
init { run tokenizer() }
