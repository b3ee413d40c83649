"""Workers in Python, as members of a real group: views, what they refuse, batches, stats.

group.py tells what they need.
"""
import ctypes
import os
import subprocess
import time
import unittest

import millrace
from group import PROGRAM, Group, body, first, lies_in
from millrace._library import lib

try:
    import numpy
except ImportError:
    numpy = None

def echo(worker):
    for batch in worker:
        for context in batch:
            if not context.cancelled:
                context.update(context.tokens[context.length - context.original_prompt_length])
            if context.is_done or context.cancelled:
                context.hand_on()


class Batches(unittest.TestCase):
    def test_a_hundred_requests_are_answered(self):
        with Group([body()] * 100) as group, group.worker() as worker:
            echo(worker)
            answers = group.answers()
        self.assertEqual(len(answers), 100)
        self.assertEqual({a["text"] for a in answers.values()}, {"Once upon a time"})

    def test_a_context_is_the_same_object_until_it_is_handed_on(self):
        with Group([body()]) as group, group.worker() as worker:
            context = first(worker)
            context.state = "mine"
            context.update(3)
            self.assertIs(first(worker), context)
            self.assertEqual(context.state, "mine")

    def test_a_time_out_gives_an_empty_batch(self):
        with Group([body()]) as group, group.worker() as worker:
            other = group.worker()
            first(worker)
            self.assertEqual(other.batch(0), [])
            self.assertEqual(other.batch(0.3), [])
            other.close()

    def test_what_is_put_back_is_another_ones(self):
        with Group([body()]) as group, group.worker() as worker:
            context = first(worker)
            context.update(7)
            handle = context.handle
            context.put_back()
            again = first(worker)
            self.assertEqual(again.handle, handle)
            self.assertEqual(again.tokens[-1], 7)
            self.assertEqual(again.original_prompt_length + 1, again.length)

    def test_a_failed_request_has_its_sentence(self):
        with Group([body()]) as group, group.worker() as worker:
            first(worker).fail("the engine is tired")
            worker.batch(2)
            group.run.wait(60)
            with open(group.out) as file:
                self.assertIn("the engine is tired", file.read())

    def test_parameters_are_those_of_the_request(self):
        asked = body(temperature=0.5, top_p=0.75, seed=9, logit_bias={"5": 2.5}, logprobs=2)
        with Group([asked]) as group, group.worker() as worker:
            context = first(worker)
            sampling = context.sampling
            self.assertEqual((sampling.temperature, sampling.top_p, sampling.seed), (0.5, 0.75, 9))
            self.assertTrue(context.ignore_eos)
            self.assertEqual(sampling.max_new_tokens, 4)
            self.assertEqual(context.logit_bias, {5: 2.5})
            self.assertEqual(context.top_logprobs, 2)
            self.assertEqual(context.kind, "text")
            self.assertFalse(context.suspect)
            for token in (5, 6, 7, 8):
                context.update(token, -0.25, [(token, -0.25), (9, -2.0)])
            context.hand_on()
            worker.batch(2)
            answer = group.answers()["r0"]
        self.assertEqual(answer["logprobs"]["token_logprobs"], [-0.25] * 4)

    def test_an_unfinished_context_is_not_handed_on(self):
        with Group([body()]) as group, group.worker() as worker:
            context = first(worker)
            with self.assertRaises(millrace.Error) as caught:
                context.hand_on()
            self.assertIn("neither done nor cancelled", str(caught.exception))
            self.assertEqual(context.length, context.prompt_length)  # it is held still

    def test_who_may_not_attach_hears_why(self):
        with self.assertRaises(millrace.Error) as caught:
            millrace.Worker("no-such-domain", fingerprint="x")
        self.assertIn("no-such-domain", str(caught.exception))
        with Group([body()]) as group:
            with self.assertRaises(millrace.Error) as caught:
                group.worker(vocabulary=3)
            self.assertIn("vocabulary", str(caught.exception))

    def test_who_is_drained_leaves_and_its_contexts_are_released(self):
        with Group([body()]) as group, group.worker(name="leaver") as worker:
            context = first(worker)
            view = context.tokens
            drain = subprocess.Popen([PROGRAM, "drain", group.name, str(os.getpid())],
                                     stdout=subprocess.DEVNULL)
            while worker.batch(1) is not None:
                time.sleep(0.01)
            with self.assertRaises(millrace.ReleasedError):
                context.length
            with self.assertRaises(millrace.ReleasedError):
                view[0]
            worker.close()
            self.assertEqual(drain.wait(10), 0)


class Views(unittest.TestCase):
    def test_a_view_shows_what_the_library_shows(self):
        with Group([body()]) as group, group.worker() as worker:
            context = first(worker)
            prompt = list(context.prompt)
            context.update(11)
            self.assertEqual(list(context.tokens), prompt + [11])
            self.assertEqual(list(context.generated), [11])
            self.assertEqual(context.tokens[-2:], [prompt[-1], 11])
            self.assertEqual(len(context.active), context.active_length)
            with self.assertRaises(TypeError):
                context.tokens.memory()[0] = 1

    def test_a_released_view_raises(self):
        with Group([body(max_tokens=1)]) as group, group.worker() as worker:
            context = first(worker)
            view = context.tokens
            context.update(11)
            context.hand_on()
            for use in (lambda: view[0], lambda: len(view), lambda: list(view), view.memory,
                        lambda: context.tokens, lambda: context.length, lambda: context.update(1),
                        context.hand_on):
                with self.assertRaises(millrace.ReleasedError):
                    use()
            self.assertIn("released", repr(view))

    def test_a_context_is_not_let_go_of_under_a_memoryview(self):
        with Group([body(max_tokens=1)]) as group, group.worker() as worker:
            context = first(worker)
            part = context.tokens.memory()[1:]
            context.update(11)
            with self.assertRaises(millrace.ViewError):
                context.hand_on()
            self.assertEqual(part[0], context.tokens[1])
            del part
            context.hand_on()

    @unittest.skipUnless(numpy, "numpy isn't installed")
    def test_arrays_lie_in_the_shared_memory_itself(self):
        with Group([body()]) as group, group.worker() as worker:
            context = first(worker)
            ids = numpy.asarray(context.tokens)
            address = ids.ctypes.data
            self.assertTrue(lies_in(group, address))
            self.assertEqual(address, lib.text_all(context._text).ids)
            self.assertEqual(numpy.asarray(context.tokens).ctypes.data, address)
            self.assertEqual(numpy.asarray(context.prompt[0:0]).size, 0)
            self.assertEqual(ids.dtype, numpy.int64)
            self.assertFalse(ids.flags.writeable)
            before = ids.size
            context.update(11)  # the same memory has one token more
            self.assertEqual(numpy.asarray(context.tokens).ctypes.data, address)
            self.assertEqual(ctypes.c_int64.from_address(address + 8 * before).value, 11)
            del ids

    @unittest.skipUnless(numpy, "numpy isn't installed")
    def test_a_context_is_not_let_go_of_under_an_array(self):
        with Group([body(max_tokens=1)]) as group:
            worker = group.worker()
            context = first(worker)
            last = numpy.asarray(context.tokens)[-3:][::2]
            context.update(11)
            with self.assertRaises(millrace.ViewError):
                context.hand_on()
            with self.assertRaises(millrace.ViewError):
                context.put_back()
            with self.assertRaises(millrace.ViewError):
                worker.close()
            self.assertEqual(last.tolist(), numpy.asarray(context.prompt)[-3:][::2].tolist())
            del last
            context.hand_on()
            worker.close()


class OfAGroup(unittest.TestCase):
    def test_counters_and_histograms_are_read_by_name(self):
        with Group([body()] * 10) as group, millrace.Stats(group.name) as stats:
            with group.worker() as worker:
                echo(worker)
                self.assertTrue(isinstance(stats.alive, bool))
                read = stats.read()
        self.assertEqual(read["commits"], 40)
        self.assertGreaterEqual(read["batch_size"].quantile(1), 1)
        self.assertEqual(read["output_length"].samples, 10)
        with self.assertRaises(ValueError):
            stats.read()

    def test_no_such_group_is_an_error(self):
        with self.assertRaises(millrace.Error):
            millrace.Stats("no-such-domain")


if __name__ == "__main__":
    unittest.main()
