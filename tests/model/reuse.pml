/*
 * reuse.pml - one slot used by two contexts in turn: the news flag outlives the first
 *
 * Stands for: mr_news_tell() (ipc/news.h) by the workers of both contexts, take_news() and the freeing
 * of a slot (ipc/emission.c), the filling of a slot again (ipc/request.c), a death with its sweep.
 * One access per step: each exchange of the flag, push, pop, load of the state, CAS of the state.
 * Abstracted: the ring is a bag of hints per generation; a commit is one store; the cursors and the
 * journal are news.pml's matter.
 * Property: when nothing moves any more both contexts are emitted (checked at `timeout`).
 * Mutations (must fail): -DSTALEDROP (a hint of another generation is dropped with the flag left up)
 * -DSTATEFIRST (the state is loaded before the flag is lowered) -DNOSWEEPHINT.
 */
#ifndef MAXK
#define MAXK 1
#endif
#define FREE 0
#define READY 1
#define LEASED 2
#define DONE 3
byte gen, state, kills;
bit news;
byte hint[2];
bit emitted[2];
bit dead[2], gone[2];

inline tell(g) {
	atomic { old = news; news = 1 };
	if :: !old -> hint[g]++ :: else fi
}
proctype worker(byte g) {
	bit old;
	{
	(gen == g && (state == READY || state == LEASED)) -> state = LEASED;
	tell(g);                               /* a commit's */
	atomic { state == LEASED && gen == g -> state = DONE };
	tell(g)
	} unless { atomic { dead[g] -> gone[g] = 1 } }
}
active proctype collector() {
	byte h, s;
end:	do
	:: atomic { hint[0] > 0 -> hint[0]--; h = 0 }; goto look
	:: atomic { hint[1] > 0 -> hint[1]--; h = 1 };
look:
#ifdef STALEDROP
		if :: h != gen -> goto next :: else fi;
#endif
#ifdef STATEFIRST
		s = state; news = 0;
#else
		news = 0; s = state;
#endif
		if
		:: s == DONE ->
			atomic { assert(!emitted[gen]); emitted[gen] = 1 };
			atomic { state = FREE; gen++ }
		:: else
		fi;
next:		atomic { h = 0; s = 0 }
	od
}
active proctype tokenizer() {
	do
	:: gen < 2 && state == FREE ->
		news = 0;                      /* while it fills the slot */
		state = READY; run worker(gen)
	:: gen == 2 -> break
	od
}
active proctype supervisor() {
end:	do
	:: atomic { gone[0] -> gone[0] = 0; dead[0] = 0 };
#ifndef NOSWEEPHINT
		atomic { if :: gen < 2 -> hint[gen]++ :: else fi };
#endif
		atomic { if :: gen == 0 && state != DONE -> run worker(0) :: else fi }
	:: atomic { gone[1] -> gone[1] = 0; dead[1] = 0 };
#ifndef NOSWEEPHINT
		atomic { if :: gen < 2 -> hint[gen]++ :: else fi };
#endif
		atomic { if :: gen == 1 && state != DONE -> run worker(1) :: else fi }
	od
}
active proctype killer() {
	do
	:: atomic { kills < MAXK && !dead[0] -> dead[0] = 1; kills++ }
	:: atomic { kills < MAXK && !dead[1] && gen == 1 -> dead[1] = 1; kills++ }
	:: break
	od
}
active proctype checker() {
	atomic { timeout; assert(emitted[0] && emitted[1]) }
}
