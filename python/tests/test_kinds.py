"""Workers in Python that speak, look at images and make pictures, as members of a real group."""
import base64
import io
import struct
import unittest
import wave
import zlib

import millrace
from group import Group, body, first, lies_in
from millrace._library import lib

try:
    import numpy
except ImportError:
    numpy = None

IMAGES, SPEECH, CHATS = "/v1/images/generations", "/v1/audio/speech", "/v1/chat/completions"
PICTURES = [{"prompt": "a red mill", "size": "64x48", "num_inference_steps": 4}]
IMAGE_TOKEN, IMAGE_TOKENS = 99, 4
RATE, BLOCK, SAMPLES = 8000, 3, 4  # speech tokens a token, samples a speech token


def png(width, height, colour):
    """A picture of one colour."""
    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    rows = (b"\0" + bytes(colour) * width) * height
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) +
            chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def sample(token):
    return (token % 100) / 128


def speak(context):
    """A token and its block of speech, as one commit."""
    token = context.tokens[context.length - context.original_prompt_length]
    with context.hold():
        context.update(token)
        context.speech.update([token * BLOCK + i for i in range(BLOCK)])


def sound(context, chunk=7):
    """The sound of the next speech tokens, behind what there is, in one commit with the index."""
    speech = context.speech
    tokens, used = speech.next(chunk, 2)
    old = [] if speech.audio_buffer is None else speech.audio_buffer.tolist()
    new = [sample(token) for token in tokens[used:] for _ in range(SAMPLES)]
    place = context.prepare_array("audio_buffer", "float32", [len(old) + len(new)]).memory()
    for i, value in enumerate(old + new):
        place[i] = value
    del place
    with context.hold():
        context.replace_array("audio_buffer")
        speech.decoded_index += len(tokens) - used
        if speech.decoded_index == len(speech.tokens):
            speech.status = "end_of_sequence"


def serve_speech(worker):
    for batch in worker:
        for context in batch:
            if context.cancelled or context.is_done:
                context.hand_on()
            elif context.text_is_done:
                sound(context)
            else:
                speak(context)


class Speeches(unittest.TestCase):
    OPTIONS = ("--kinds", "text,tts", "--sample-rate", str(RATE))

    def group(self, *requests):
        return Group(requests, *self.OPTIONS, url=SPEECH)

    def worker(self, group):
        return group.worker(kinds=("text", "tts"))

    def test_a_worker_in_python_serves_speech(self):
        asked = [{"input": "Good night", "max_tokens": 5, "ignore_eos": True},
                 {"input": "The moon", "max_tokens": 2, "ignore_eos": True}]
        with self.group(*asked) as group, self.worker(group) as worker:
            prompts = {}
            for context in worker.batch(10):
                prompts[context.request_id] = list(context.prompt)
            serve_speech(worker)
            results = group.results()
        self.assertEqual(len(results), 2)
        for name, tokens in (("r0", 5), ("r1", 2)):
            audio = results[name]["response"]["body"]["audio"]
            with wave.open(io.BytesIO(base64.b64decode(audio["data"]))) as file:
                self.assertEqual(file.getframerate(), RATE)
                found = struct.unpack(f"<{file.getnframes()}h", file.readframes(file.getnframes()))
            self.assertEqual(len(found), tokens * BLOCK * SAMPLES)
            if name in prompts:
                spoken = [prompts[name][i % len(prompts[name])] * BLOCK + j
                          for i in range(tokens) for j in range(BLOCK)]
                wanted = [sample(t) for t in spoken for _ in range(SAMPLES)]
                self.assertTrue(all(abs(a / 32767 - b) < 1e-4 for a, b in zip(found, wanted)))
        self.assertIn("r0", prompts)

    def test_speech_tokens_lie_in_the_shared_memory_itself(self):
        asked = {"input": "Once more", "audio_prompt_tokens": [5, 6, 7]}
        with self.group(asked) as group, self.worker(group) as worker:
            context = first(worker)
            speech = context.speech
            self.assertEqual((context.kind, speech.block_counter, len(speech.tokens)), ("tts", 0, 0))
            self.assertEqual(list(speech.audio_prompt_tokens), [5, 6, 7])
            self.assertTrue(lies_in(group, speech.audio_prompt_tokens.address))
            self.assertIsNone(speech.audio_buffer)
            self.assertIsNone(speech.buffer_speech_tokens)
            speech.update([1, 2, 3])
            address = speech.tokens.address
            self.assertTrue(lies_in(group, address))
            self.assertEqual(address, lib.tts_speech_tokens(speech._call).tokens)
            speech.update([4])
            self.assertEqual(speech.tokens.address, address)  # none was moved
            self.assertEqual((list(speech.tokens), speech.block_counter), ([1, 2, 3, 4], 2))
            self.assertEqual(speech.tokens.dtype, "int32")
            chunk, used = speech.next(2)
            self.assertEqual((chunk.address, list(chunk), used), (address, [1, 2], 0))
            speech.decoded_index = 2
            chunk, used = speech.next(5, 1)
            self.assertEqual((chunk.address, list(chunk), used), (address + 4, [2, 3, 4], 1))
            self.assertEqual(speech.capacity, 3000)  # of the 30 seconds
            speech.prev_samples_beyond_offset = 17
            self.assertEqual(speech.prev_samples_beyond_offset, 17)
            self.assertFalse(speech.streaming)
            self.assertGreater(speech.arrival_time, 1e9)

    def test_what_the_library_refuses_is_an_error_and_changes_nothing(self):
        with self.group({"input": "Once more"}) as group, self.worker(group) as worker:
            speech = first(worker).speech
            for wrong in (lambda: speech.update([1, 1 << 40]), lambda: speech.update([1] * 3001),
                          lambda: setattr(speech, "decoded_index", -1), lambda: speech.next(-1)):
                with self.assertRaises(millrace.Error):
                    wrong()
            with self.assertRaises(KeyError):
                speech.status = "tired"
            self.assertEqual((len(speech.tokens), speech.decoded_index, speech.status), (0, 0, "active"))

    def test_released_speech_raises(self):
        with self.group({"input": "Once more"}) as group, self.worker(group) as worker:
            context = first(worker)
            speech = context.speech
            speech.update([1, 2, 3])
            view, (chunk, _) = speech.tokens, speech.next(2)
            memory = view.memory()
            with self.assertRaises(millrace.ViewError):
                context.put_back()
            del memory
            context.put_back()
            for use in (lambda: view[0], lambda: list(chunk), lambda: speech.tokens, speech.next,
                        lambda: speech.decoded_index, lambda: speech.audio_prompt_tokens,
                        lambda: speech.update([4]), lambda: context.speech):
                with self.assertRaises(millrace.ReleasedError):
                    use()

    def test_what_is_held_is_one_commit_or_none(self):
        with self.group({"input": "Once more", "ignore_eos": True}) as group, self.worker(group) as worker:
            context = first(worker)
            length = context.length
            with self.assertRaises(ZeroDivisionError):
                with context.hold():
                    context.update(3)
                    1 // 0
            context.put_back()
            context = first(worker)
            self.assertEqual((context.length, len(context.speech.tokens)), (length, 0))
            speak(context)
            context.put_back()
            context = first(worker)
            self.assertEqual((context.length, len(context.speech.tokens)), (length + 1, BLOCK))

    def test_a_text_has_no_speech(self):
        with Group([body()]) as group, group.worker() as worker:
            context = first(worker)
            for use in (lambda: context.speech, lambda: context.picture, lambda: context.vision):
                with self.assertRaises(TypeError):
                    use()


class Pictures(unittest.TestCase):
    def group(self):
        return Group(PICTURES, "--kinds", "text,pixel", url=IMAGES)

    def worker(self, group):
        return group.worker(kinds=("text", "pixel"))

    def test_who_takes_texts_alone_may_not_attach(self):
        with self.group() as group:
            with self.assertRaises(millrace.Error) as caught:
                group.worker()
            self.assertIn("pixel", str(caught.exception))

    def test_a_picture_has_the_numbers_of_its_request(self):
        with self.group() as group, self.worker(group) as worker:
            context = first(worker)
            picture = context.picture
            self.assertEqual((context.kind, picture.width, picture.height), ("pixel", 64, 48))
            self.assertEqual((picture.num_inference_steps, picture.num_images_per_prompt), (4, 1))
            self.assertEqual(picture.compute_num_available_steps(1), 4)
            self.assertGreaterEqual(picture.num_warmup_steps, 0)
            self.assertGreater(picture.guidance_scale, 0)
            self.assertGreater(picture.true_cfg_scale, 0)
            self.assertIn(("field", "noise"), context.arrays())
            self.assertIsNone(context.array("guidance"))
            with self.assertRaises(millrace.Error):
                context.array("no such array")
            with self.assertRaises(TypeError):
                context.tokens

    def test_latents_are_given_and_taken_back(self):
        with self.group() as group, self.worker(group) as worker:
            picture = first(worker).picture
            noise = picture.latents.tolist()
            self.assertTrue(lies_in(group, picture.latents.address))
            picture.update(memoryview(bytes(range(12))).cast("B", (2, 2, 3)), "uint8")
            self.assertEqual((picture.latents.shape, picture.latents.dtype), ((2, 2, 3), "uint8"))
            out = picture.to_generation_output()
            self.assertEqual((out.width, out.height, out.channels), (2, 2, 3))
            self.assertEqual((out.pixels, out.status), (bytes(range(12)), "active"))
            picture.status = "end_of_sequence"
            self.assertTrue(picture.is_done)
            picture.reset()
            self.assertEqual((picture.status, picture.latents.shape), ("active", (2, 2, 3)))
            picture.restart()
            self.assertEqual(picture.latents.tolist(), noise)
            with self.assertRaises(millrace.Error):
                picture.update(memoryview(bytes(1 << 22)), "uint8")

    def test_a_released_picture_raises(self):
        with self.group() as group, self.worker(group) as worker:
            context = first(worker)
            picture, latents = context.picture, context.picture.latents
            context.put_back()
            for use in (latents.memory, lambda: picture.latents, lambda: picture.width, picture.reset):
                with self.assertRaises(millrace.ReleasedError):
                    use()

    @unittest.skipUnless(numpy, "numpy isn't installed")
    def test_a_picture_is_written_where_it_lies(self):
        with self.group() as group:
            worker = self.worker(group)
            context = first(worker)
            noise = numpy.asarray(context.array("noise"))
            self.assertEqual(noise.dtype, numpy.float32)
            self.assertEqual(numpy.asarray(context.picture.latents).tolist(), noise.tolist())
            place = numpy.asarray(context.prepare_array("latents", "uint8", (48, 64, 3)))
            place[:] = 7
            context.replace_array("latents")
            latents = numpy.asarray(context.picture.latents)
            self.assertEqual(latents.ctypes.data, place.ctypes.data)
            self.assertTrue(lies_in(group, latents.ctypes.data))
            del noise, place, latents
            context.set_status("end_of_sequence")
            context.hand_on()
            worker.batch(2)
            data = group.results()["r0"]["response"]["body"]["data"][0]["b64_json"]
            self.assertEqual(base64.b64decode(data)[:8], b"\x89PNG\r\n\x1a\n")
            worker.close()


class ImagesInChats(unittest.TestCase):
    OPTIONS = ("--kinds", "text,vision", "--image-token", str(IMAGE_TOKEN), "--image-tokens",
               str(IMAGE_TOKENS))

    def group(self):
        def image(*size):
            return {"type": "image_url", "image_url": {
                "url": "data:image/png;base64," + base64.b64encode(png(*size, (255, 0, 51))).decode()}}
        content = [{"type": "text", "text": "What is it?"}, image(3, 2), image(2, 2)]
        return Group([{"messages": [{"role": "user", "content": content}], "max_tokens": 2,
                       "ignore_eos": True}], *self.OPTIONS, url=CHATS)

    def worker(self, group):
        return group.worker(kinds=("text", "vision"))

    def test_images_lie_in_the_shared_memory_at_their_places(self):
        with self.group() as group, self.worker(group) as worker:
            context = first(worker)
            vision = context.vision
            self.assertEqual((context.kind, vision.token_ids), ("vision", [IMAGE_TOKEN]))
            images = vision.images
            self.assertEqual([image.pixel_values.shape for image in images], [(2, 3, 3), (2, 2, 3)])
            for i, image in enumerate(images):
                self.assertEqual(context.tokens[image.start:image.end], [IMAGE_TOKEN] * IMAGE_TOKENS)
                self.assertTrue(lies_in(group, image.pixel_values.address))
                self.assertEqual(image.pixel_values.address, context.array(str(i), "image").address)
                self.assertEqual(image.hash, millrace.image_hash(image.pixel_values))
                self.assertEqual(vision.compute_image_aligned_idx(image.start + 1), image.start)
            self.assertNotEqual(images[0].hash, images[1].hash)
            pixel = [round(value * 255) for value in images[0].pixel_values.tolist()[0][0]]
            self.assertEqual(pixel, [255, 0, 51])
            with self.assertRaises(millrace.Error):
                vision.extra_model_arg("no such input")

    def test_images_that_are_processed_are_no_next_ones(self):
        with self.group() as group, self.worker(group) as worker:
            context = first(worker)
            vision = context.vision
            self.assertEqual((vision.image_idx, len(vision.next_images)), (0, 2))
            self.assertTrue(vision.needs_vision_encoding)
            with self.assertRaises(millrace.Error):
                context.chunk(vision.images[0].start + 1)  # it would be cut
            context.chunk(vision.images[0].end)
            self.assertFalse(vision.bisected)
            context.update(0)
            self.assertEqual((vision.image_idx, len(vision.next_images)), (1, 1))
            context.update(5)
            self.assertEqual((vision.image_idx, vision.next_images), (2, []))
            self.assertFalse(vision.needs_vision_encoding)

    def test_released_images_raise(self):
        with self.group() as group, self.worker(group) as worker:
            context = first(worker)
            vision, images = context.vision, context.vision.images
            memory = images[1].pixel_values.memory()
            with self.assertRaises(millrace.ViewError):
                context.put_back()
            del memory
            context.put_back()
            for use in (images[0].pixel_values.memory, lambda: images[1].pixel_values[0],
                        lambda: vision.images, lambda: vision.token_ids, lambda: vision.image_idx):
                with self.assertRaises(millrace.ReleasedError):
                    use()


if __name__ == "__main__":
    unittest.main()
