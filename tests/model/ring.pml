/*
 * ring.pml - the one-CAS ring of handles, with "full: drop the hint, raise rescan".
 *
 * Stands for: ipc ring push and pop by many processes, each of which may be killed between
 * any two machine accesses; the slots behind the handles are one word each (0 none, 1 READY,
 * 2 claimed), enough to state what a lost hint means.
 * One access per step: load of an index, load of an entry {cycle, full, value} (atomic), CAS
 * on an entry, load and CAS of the fetch-max on an index, store of READY, claim CAS, exchange
 * of rescan; fetch-max and the look through the slots are one step unless -DFINE.
 * Abstracted: the doorbell (a popper that saw "empty" waits until the ring really holds an
 * entry or rescan is up: see doorbell.pml); leases (slot.pml); memory is sequentially
 * consistent; cycles do not wrap (-DNOCYCLE shows why there is a cycle).
 * Sizes: N=1 (2 laps) and N=2 entries, 2 pushers with K=1 value each, 2 poppers, 1 death
 * (K=2, MAXK=2 and -DFINE, a fetch-max of two accesses, are too big to finish).
 * Properties: an entry is taken at most once and only if pushed (assert); no survivor is left
 * blocked (invalid end states; a livelock check with pan -l was begun, not finished);
 * "full" and "empty" are exact when said (assert); at the end, if a popper lives, no slot
 * is READY: all that was published is taken, dropped hints too.
 * Mutations (must fail): -DTICKET -DNOHELP_POP -DNOHELP_PUSH -DNOCYCLE
 * -DNORAISE -DSCANFIRST -DDROPONLY.  Variant (must pass): -DPLAINSTORE.
 */
#ifndef N
#define N 2
#endif
#ifndef K
#define K 2
#endif
#ifndef MAXK
#define MAXK 1
#endif
#define NP 2
#define NC 2
#define NV (NP*K)
#ifdef NOCYCLE
#define CY(p) 0
#define NEXTC(c) 0
#else
#define CY(p) ((p)/N)
#define NEXTC(c) ((c)+1)
#endif
#define V (id*K + k + 1)      /* the value pushed now */

byte cyc[N], val[N];          /* the entries; val 0 = empty */
byte head, tail;
bit rescan;
byte st[NV+1];                /* the slots' truth */
bit pushed[NV+1], popped[NV+1];  /* ghosts */
bit dead[NP+NC];
byte kills, swept, finished;  /* finished: pushers that are done or dead */
bit quit;                     /* the killer is through */

#define NONEMPTY (val[0] != 0 || val[N-1] != 0)

inline fetchmax(x, to) {
#ifdef PLAINSTORE
	x = to
#elif !defined(FINE)
	atomic { if :: x < to -> x = to :: else fi }
#else
	o = x;
	do
	:: o < to -> atomic { if :: x == o -> x = to; o = to :: else -> o = x fi }
	:: else -> break
	od
#endif
}

proctype pusher(byte id) {
	byte t, ec, ev, k; bit ok;
#ifdef FINE
	byte o;
#endif
	{
	do
	:: k < K ->
		st[V] = 1;                                  /* publish the slot, then the hint */
#ifdef TICKET
tk:		t = tail;
		atomic { ec = cyc[t%N]; ev = val[t%N] };
		if
		:: ec == CY(t) && ev == 0 ->
			atomic { if :: tail == t -> tail = t+1; ok = 1 :: else -> ok = 0 fi };
			if
			:: ok -> atomic { val[t%N] = V; pushed[V] = 1 }
			:: else -> goto tk
			fi
		:: ec < CY(t) -> rescan = 1
		:: else -> goto tk
		fi;
#else
again:		t = tail;
entry:		atomic { ec = cyc[t%N]; ev = val[t%N];
			/* an older entry below a true tail means: full, exactly then */
			assert(!(ec < CY(t)) || ev != 0) };
		if
		:: ec == CY(t) && ev == 0 ->
			atomic {
				if
				:: cyc[t%N] == ec && val[t%N] == ev -> val[t%N] = V; pushed[V] = 1; ok = 1
				:: else -> ok = 0
				fi };
			if
			:: ok -> fetchmax(tail, t+1)
			:: else -> goto entry
			fi
#ifndef NOCYCLE
		:: ec > CY(t) || (ec == CY(t) && ev != 0) ->  /* filled by another: help, go on */
#ifdef NOHELP_PUSH
			(tail != t);
#else
			fetchmax(tail, t+1);
#endif
			goto again
		:: ec < CY(t) ->                             /* full */
#else
		:: ev != 0 ->                                /* full */
#endif
#ifndef DROPONLY
			rescan = 1
#else
			skip
#endif
		fi;
#endif
		k++
	:: else -> break
	od;
	finished++
	} unless { dead[id] -> finished++ }
}

proctype popper(byte id) {
	byte h, ec, ev, i; bit ok;
#ifdef FINE
	byte o;
#endif
	{
	skip;
again:	h = head;
entry:	atomic { ec = cyc[h%N]; ev = val[h%N]
#ifndef TICKET
		; assert(!(ec == CY(h) && ev == 0) || !NONEMPTY)      /* "empty" is exact */
#endif
	};
	if
	:: ec == CY(h) && ev != 0 ->
		atomic {
			if
			:: cyc[h%N] == ec && val[h%N] == ev ->
				assert(pushed[ev] && !popped[ev]);
				popped[ev] = 1; val[h%N] = 0; cyc[h%N] = NEXTC(ec); ok = 1
			:: else -> ok = 0
			fi };
		if
		:: ok -> fetchmax(head, h+1);
			atomic { if :: st[ev] == 1 -> st[ev] = 2 :: else fi };
			goto again
		:: else -> goto entry
		fi
#ifndef NOCYCLE
	:: ec > CY(h) ->
#ifdef NOHELP_POP
		(head != h);
#else
		fetchmax(head, h+1);
#endif
		goto again
#endif
	:: ec == CY(h) && ev == 0 ->                           /* empty */
		if
		:: atomic { rescan ->
#ifndef SCANFIRST
			rescan = 0                             /* exchange BEFORE the look */
#endif
			};
#ifndef FINE
			atomic {
#endif
			i = 1;
			do
			:: i <= NV -> atomic { if :: st[i] == 1 -> st[i] = 2 :: else fi; i++ }
			:: else -> break
			od;
			i = 0;
#ifndef FINE
			};
#endif
#ifdef SCANFIRST
			rescan = 0;
#endif
			goto again
		:: !rescan && NONEMPTY -> goto again
		:: !rescan && !NONEMPTY && finished == NP && swept == kills && quit -> skip
		fi
	fi
	} unless { dead[id] }
}

/* the supervisor's part after each death: raise rescan (slot.pml has the whole sweep) */
active proctype supervisor() {
end:	do
	:: swept < kills ->
#ifndef NORAISE
		rescan = 1;
#endif
		swept++
	od
}

active proctype killer() {
	do
	:: atomic { kills < MAXK && !dead[0] -> dead[0] = 1; kills++ }
	:: atomic { kills < MAXK && !dead[1] -> dead[1] = 1; kills++ }
	:: atomic { kills < MAXK && !dead[2] -> dead[2] = 1; kills++ }
	:: atomic { kills < MAXK && !dead[3] -> dead[3] = 1; kills++ }
	:: quit = 1; break
	od
}

active proctype checker() {
	byte i;
	atomic {
		timeout;
		if
		:: !dead[NP] || !dead[NP+1] ->
			assert(finished == NP);
			/* no hole: tail never stands past an entry that was not filled */
			assert(!(cyc[tail%N] < CY(tail) && val[tail%N] == 0));
			i = 1;
			do
			:: i <= NV -> assert(st[i] != 1); assert(!(pushed[i] && !popped[i])); i++
			:: else -> break
			od
		:: else
		fi
	}
}

init { atomic { run pusher(0); run pusher(1); run popper(2); run popper(3) } }
