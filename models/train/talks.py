"""talks.py - questions and answers, small talk and requests for stories

Each function returns one conversation: a list of (question, answer). Facts stand in the tables
below; what SmolLM2 answered (teacher.py) is read from data/answers.jsonl.
"""

import json
import re
from collections import Counter

import stories
from stories import article

# animal: (lives, eats, says or does, looks)
ANIMALS = {
    "dog": ("with people in a house", "meat and dog food", "barks and wags its tail", "It has four legs, soft fur and a wet nose."),
    "cat": ("with people in a house", "fish, mice and cat food", "says meow and purrs when it is happy", "It has soft fur, long whiskers and sharp claws."),
    "cow": ("on a farm", "grass and hay", "says moo and gives milk", "It is big and has four legs and two horns."),
    "horse": ("on a farm", "grass, hay and apples", "can run very fast and carry people", "It is tall, with long legs and a long tail."),
    "hen": ("on a farm", "seeds and worms", "lays eggs", "It has brown or white feathers and a red comb."),
    "duck": ("near a lake or a pond", "water plants and small insects", "says quack and swims well", "It has feathers and a flat yellow beak."),
    "fox": ("in a den in the forest", "mice, birds and berries", "is quick and clever", "It has red fur and a long bushy tail."),
    "bear": ("in the forest and in the mountains", "fish, berries and honey", "sleeps all winter", "It is very big and has thick brown fur."),
    "rabbit": ("in a hole in the ground", "grass, leaves and carrots", "can hop very fast", "It is small and soft and has long ears."),
    "mouse": ("in a small hole", "seeds, bread and cheese", "is very quiet and quick", "It is tiny, with round ears and a long tail."),
    "owl": ("in a hollow tree", "mice and small birds", "hunts at night and says hoo", "It has big round eyes and soft feathers."),
    "frog": ("near a pond", "flies and other insects", "can jump far and swim", "It is green and has long back legs."),
    "fish": ("in the water", "small animals and water plants", "breathes under water", "It has fins and shiny scales."),
    "bee": ("in a hive", "the sweet juice of flowers", "makes honey", "It is small and has yellow and black stripes."),
    "lion": ("on the grass lands of Africa", "meat", "roars very loudly", "It is a big yellow cat, and the male has a mane."),
}

# thing: (what it is used for, made of, a thing to know)
THINGS = {
    "spoon": ("to eat soup", "metal or wood", "You can find it in the kitchen."),
    "cup": ("to drink tea or milk", "clay or glass", "It has a handle, so that you can hold it."),
    "chair": ("to sit on", "wood", "It has four legs and a back."),
    "table": ("to eat or to work at", "wood", "A family sits around it for dinner."),
    "bed": ("to sleep in", "wood and soft cloth", "You lie in it at night."),
    "lamp": ("to make light in the dark", "metal and glass", "You turn it on in the evening."),
    "key": ("to open a lock", "metal", "It is small, so don't lose it."),
    "book": ("to read stories and to learn things", "paper", "It has many pages."),
    "umbrella": ("to stay dry in the rain", "cloth and metal", "You open it when it rains."),
    "coat": ("to keep warm in winter", "wool", "You wear it over your other clothes."),
    "hat": ("to keep your head warm or out of the sun", "wool or straw", "You wear it on your head."),
    "boat": ("to travel on water", "wood", "It can have a sail."),
    "hammer": ("to hit nails", "metal and wood", "A carpenter uses it every day."),
    "drum": ("to make music", "wood and skin", "You play it with two sticks."),
    "ball": ("to play games with", "rubber or leather", "It is round, so it can roll."),
    "kite": ("to play in the wind", "paper and string", "It flies high in the sky."),
}

COLOURS = {
    "the sky": "blue", "grass": "green", "snow": "white", "the sun": "yellow", "a tomato": "red", "a banana": "yellow",
    "milk": "white", "the night": "black", "a carrot": "orange", "a leaf in spring": "green", "a lemon": "yellow",
    "a strawberry": "red", "the sea": "blue", "coal": "black", "a frog": "green", "chocolate": "brown", "a rose": "red",
    "a cloud": "white or gray", "a pig": "pink", "an elephant": "gray", "fire": "red and yellow", "gold": "yellow",
}

OPPOSITES = """big small|hot cold|happy sad|day night|up down|good bad|fast slow|new old|light dark|long short|wet dry|
open closed|left right|young old|hard soft|full empty|rich poor|loud quiet|early late|near far|strong weak|
clean dirty|high low|first last|true false|sweet sour|black white|summer winter"""

CAPITALS = """France Paris|England London|Germany Berlin|Italy Rome|Spain Madrid|Japan Tokyo|China Beijing|
Greece Athens"""

# ways to ask, parted by a slash, and the answer
WHY = """Why does it rain?/Why is it raining?/Where does rain come from?|It rains because small drops of water in the clouds become heavy and fall down.
Why do we sleep?/Why do people sleep?/Why do we sleep at night?/Why do I need sleep?|We sleep because our body and our mind need rest. After a good night we feel strong again.
Why is the sky blue?/What makes the sky blue?|The light of the sun has many colours, and the air scatters the blue light most. So the sky looks blue.
Why do birds fly?/Why can birds fly?/How do birds fly?|Birds fly to find food, to find a warm place and to get away from danger. Their wings carry them.
Why do leaves fall in autumn?/Why do trees lose their leaves?|In autumn it gets cold, and the trees need to save water. So they let their leaves fall.
Why do we eat?|We eat because food gives our body the strength to grow, to move and to think.
Why is it dark at night?|At night our side of the earth is turned away from the sun. So it is dark.
Why should I share?/Why should we share?/Why is it good to share?/Why should we share our toys?|When you share, two people are happy and not only one. And one day somebody will share with you.
Why should I tell the truth?/Why is it bad to lie?/Why should we tell the truth?|When you tell the truth, other people can trust you. A lie makes everything harder.
Why do people read books?/Why should I read?/Why do we read books?|People read books to learn new things and to enjoy good stories.
Why does ice melt?|Ice melts when it gets warm. Then it becomes water again.
Why do we need friends?/Why are friends important?/Why is it good to have friends?|Friends help us when things are hard, and they laugh with us when things are good.
Why do we drink water?/Why is water important?/Why should I drink water?|Our body is made mostly of water. We drink, so that it has enough.
Why is the sun important?/Why do we need the sun?|The sun gives us light and warmth. Without it no plant could grow.
How do I make tea?|Boil some water and pour it over the tea leaves. Wait for three minutes. Then you can drink it.
How do I make a sandwich?|Take two pieces of bread. Put cheese and tomato between them. Then it is ready to eat.
How do plants grow?|A plant grows from a seed. It needs earth, water and the light of the sun.
How do I make a friend?/How can I find a friend?/How do I find new friends?|Be kind and say hello. Ask the other one what he or she likes to do, and listen.
How do I bake bread?|Mix flour, water, salt and yeast. Let it rest until it is big. Then bake it in a hot oven.
How do bees make honey?/What do bees make?/Where does honey come from?|Bees take the sweet juice of flowers to their hive. There they turn it into honey.
How can I sleep well?/What helps me to sleep?/I can not sleep.|Go to bed at the same time every day. Turn off the lights, lie still and think of something nice.
How can I be happy?/What makes people happy?/How can I be happy today?|Do something good for somebody, go out into the sun and be thankful for small things.
What is a friend?/What is a good friend?/Who is a friend?|A friend is a person who likes you, who helps you and who is happy to see you.
What is the moon?|The moon is a ball of rock that goes around the earth. At night it shines with the light of the sun.
What is the sun?|The sun is a star. It is very hot and gives us light and warmth.
What is rain?|Rain is water that falls from the clouds in small drops.
What is snow?|Snow is frozen water that falls from the clouds in winter. It is white and cold.
What is a story?|A story tells what happened to somebody. It has a start, a middle and an end.
What is a river?|A river is water that flows from the hills to the sea.
What is a forest?|A forest is a place with many trees. Many animals live there.
What is a mountain?|A mountain is a very high hill. Its top is often white with snow.
What is the sea?|The sea is a very big water. It is salty, and many fish live in it.
What is a mill?|A mill is a house with a big wheel. The wheel is turned by water or wind and grinds corn to flour.
What is a mill race?/What is a millrace?/What does a mill race do?|A mill race is the channel that carries the water to the wheel of a mill.
What is spring?|Spring is the time after winter. It gets warm, and the flowers begin to grow.
What is winter?|Winter is the coldest time of the year. The days are short, and often it snows.
What is love?|Love is a warm feeling for somebody who is very dear to you.
What does a farmer do?/Who is a farmer?/What is the work of a farmer?|A farmer grows food and takes care of animals on a farm.
What does a baker do?|A baker gets up early and bakes bread and cakes.
What does a teacher do?|A teacher helps children to learn in school.
What does a doctor do?|A doctor helps people who are sick to get well.
What does a sailor do?|A sailor works on a ship and travels across the sea.
What does a miller do?|A miller works in a mill and makes flour from corn.
How many days are in a week?/How many days does a week have?|There are seven days in a week.
How many months are in a year?/How many months does a year have?|There are twelve months in a year.
How many legs does a spider have?|A spider has eight legs.
How many legs does a dog have?|A dog has four legs.
How many hours are in a day?|There are twenty-four hours in a day.
What are the days of the week?/Name the days of the week.|The days of the week are Monday, Tuesday, Wednesday, Thursday, Friday, Saturday and Sunday.
What are the months of the year?|The months are January, February, March, April, May, June, July, August, September, October, November and December.
What are the four seasons?/Name the four seasons./What are the seasons?|The four seasons are spring, summer, autumn and winter.
What day comes after Monday?|Tuesday comes after Monday.
What day comes after Friday?|Saturday comes after Friday.
Can you count to ten?/Count to ten./Please count to ten.|One, two, three, four, five, six, seven, eight, nine, ten.
Count to five.|One, two, three, four, five.
What is your favourite colour?|I like blue, because it is the colour of the sky and of the sea.
What is your favourite animal?|I like the fox, because it is clever and has a beautiful tail.
I am sad./I feel sad./What can I do when I am sad?/I am sad today.|I am sorry to hear that. Talk to a friend, go for a walk, or let me tell you a story.
I am happy today.|That is good to hear! What made you so happy?
I am tired.|Then you should rest a little. A short sleep can do wonders.
I am bored./What can I do when I am bored?/I have nothing to do.|Would you like to hear a story? I can tell you one about a fox or about a lost ball."""

TALK = {
    ("Hello.", "Hello!", "Hi.", "Hi!", "Hello there.", "Good morning.", "Good evening.", "Hey."): (
        "Hello! How can I help you?", "Hello! Would you like to hear a story?", "Hello! It is nice to meet you."),
    ("How are you?", "How are you today?", "Hello, how are you?"): (
        "I am fine, thank you. How are you?", "I am very well, thank you. What can I do for you?"),
    ("Who are you?", "What are you?", "What is your name?", "Tell me about yourself."): (
        "I am a very small language model. I write short stories and answer simple questions.",),
    ("What can you do?", "Can you help me?", "What do you do?", "Help me."): (
        "I can tell you a short story or answer a simple question. What would you like?",),
    ("Thank you.", "Thanks!", "Thank you very much.", "That was nice."): (
        "You are welcome!", "You are welcome. I was happy to help."),
    ("Goodbye.", "Bye!", "Good night.", "See you tomorrow."): (
        "Goodbye! See you soon.", "Goodbye, and have a nice day!"),
}

UNKNOWN = """Who is the president of the United States?|What is the meaning of life?|Write a Python function.|
Explain quantum physics.|What is a transformer in machine learning?|Translate this into French.|Solve this equation.|
What happened in 1969?|Who wrote Hamlet?|What is the stock market?|Explain shared memory.|What is a process?|
Summarize this text.|Write an essay about history.|What is the speed of light?|Who won the game yesterday?|
What is the weather today?|What time is it now?|How does a computer work?|What is TCP?|Explain the theory of relativity.|
Write a letter to my boss.|What is DNA?|Who invented the telephone?|What is the square root of two?|
How far is the moon?|What is an operating system?|Explain how a GPU works.|What is the latest news?|Give me legal advice."""
DONT_KNOW = ("I don't know that. I am a very small model. Would you like to hear a story?",
             "That is too hard for me. I only know simple things and short stories.")

ASK_STORY = """Tell me a story.|Tell me a short story.|Write a short story.|Can you tell me a story?|Please tell me a story.|
Write a story for children.|I would like to hear a story.|Once more, please tell me a story.|Tell me a bedtime story."""
ASK_ABOUT = """Tell me a story about {x}.|Write a short story about {x}.|Can you tell me a story about {x}?|
Please write a story about {x}.|I would like to hear a story about {x}.|Tell me a short story about {x}.|
Write a story about {x}.|Make up a story about {x}.|Tell me about {x}, in a short story.|A story about {x}, please."""
ADDED = [""] * 12 + [" Make it short.", " Use simple words.", " Please.", " It should have a happy ending."]

RHYMES = {
    "day": ("The sun comes up, it is a brand new day", "The birds are singing, come outside and play",
            "The clouds are white, the night has gone away", "Let us be glad, whatever people say"),
    "night": ("The moon is full, the stars are shining bright", "The little house is warm and full of light",
              "The owl is calling softly in the night", "Sleep well, my friend, and everything is right"),
    "sea": ("The boat is sailing out upon the sea", "The wind is strong, the waves are wild and free",
            "A bird flies by and calls out loud to me", "There is no better place for me to be"),
    "tree": ("A bird has built her nest up in the tree", "She sings a song for you and one for me",
             "The leaves are green, as green as they can be", "And in the flowers hums a busy bee"),
    "snow": ("The hills are white, the land is deep in snow", "The river sleeps, the wind begins to blow",
             "But by the fire the lamps are burning low", "And we tell tales of summers long ago"),
    "spring": ("The ice has gone, now everything is spring", "The flowers bloom, the birds begin to sing",
               "The old church bells in all the village ring", "Who knows what joy another day will bring"),
}


def split(table):
    return [row.strip() for row in table.replace("\n", "").split("|")]


def about(slots, subject, clause, rng):
    """A way to name the story's hero or matter in a request."""
    kind, a_kind, a_hero = slots["kind"], article(slots["kind"]), slots["a_hero"]
    return rng.choice([
        a_kind, a_kind, a_hero, f"{a_kind} named {slots['name']}", subject, f"{a_kind} and {subject}",
        f"{a_kind} and {slots['a_fkind']}", f"{a_hero} and {slots['a_friend']}", f"{slots['name']} the {kind}",
        f"{a_kind} {clause}", f"{a_hero} {clause}", f"{a_kind} named {slots['name']} {clause}",
        article(f"{slots['trait']} little {kind}") if slots["trait"] not in ("little", "small") else a_hero,
    ])


def questions_after(slots, rng):
    """Questions about the story just told, with answers from its cast."""
    he = slots["He"]
    known = [("Who was the story about?", f"It was about {slots['a_hero']} named {slots['name']}."),
             (f"Where did {slots['name']} live?", f"{he} lived {slots['home']}."),
             ("Who was the friend?", f"The friend was {slots['friend']}, {slots['a_friend']}."),
             (f"Who helped {slots['name']}?", f"{slots['friend']} helped {slots['him']}.")]
    if slots["plot"] == "lost":
        known.append((f"What did {slots['name']} lose?", f"{he} lost a {slots['colour']} {slots['thing']}."))
    if slots["plot"] == "found":
        known.append((f"What did {slots['name']} find?", f"{he} found a {slots['colour']} {slots['thing']}."))
    if slots["plot"] not in ("lost", "skill", "plant", "lostway", "build", "fear"):
        known = [pair for pair in known if not pair[0].startswith("Who helped")]
    return [(ask, re.sub(r"\ba (?=[aeiou])", "an ", tell)) for ask, tell in rng.sample(known, rng.choice([1, 2]))]


def told(rng, world):
    """A request for a story, the story, and now and then questions about it."""
    slots, subject, clause, text = stories.story(rng, world)
    if rng.random() < 0.2:
        ask = rng.choice(split(ASK_STORY))
    else:
        ask = rng.choice(split(ASK_ABOUT)).format(x=about(slots, subject, clause, rng))
    turns = [(ask + rng.choice(ADDED), text)]
    if rng.random() < 0.2:
        turns += questions_after(slots, rng)
    return turns


def animal(rng):
    noun = rng.choice(list(ANIMALS))
    lives, eats, does, looks = ANIMALS[noun]
    a = article(noun)
    big_a = a[0].upper() + a[1:]
    return rng.choice([
        (f"Where does {a} live?", f"{big_a} lives {lives}."),
        (f"What does {a} eat?", f"{big_a} eats {eats}."),
        (f"What does {a} look like?", looks),
        (f"What can you tell me about {a}?", f"{big_a} lives {lives}. {looks} It eats {eats}."),
        (f"Tell me about the {noun}.", f"The {noun} lives {lives}. It eats {eats}. It {does}."),
        (f"What is {a}?", f"{big_a} is an animal that lives {lives}. It {does}."),
    ])


def thing(rng):
    noun = rng.choice(list(THINGS))
    use, stuff, know = THINGS[noun]
    a = "soap" if noun == "soap" else article(noun)
    big_a = a[0].upper() + a[1:]
    return rng.choice([
        (f"What is {a}?", f"{big_a} is a thing that you use {use}. It is made of {stuff}."),
        (f"What is {a} for?", f"You use {a} {use}."),
        (f"What do you use {a} for?", f"You use {a} {use}. {know}"),
        (f"What is {a} made of?", f"{big_a} is made of {stuff}."),
        (f"Tell me about {a}.", f"You use {a} {use}. It is made of {stuff}. {know}"),
    ])


def colour(rng):
    what = rng.choice(list(COLOURS))
    word = rng.choice(["colour", "color"])
    return f"What {word} is {what}?", f"{what[0].upper() + what[1:]} is {COLOURS[what]}."


def opposite(rng):
    pair = rng.choice(split(OPPOSITES)).split()
    word, answer = pair if rng.random() < 0.5 or pair[1] == "old" else pair[::-1]
    return f"What is the opposite of {word}?", f"The opposite of {word} is {answer}."


def capital(rng):
    country, city = rng.choice(split(CAPITALS)).split()
    return f"What is the capital of {country}?", f"The capital of {country} is {city}."


def total(rng):
    a, b = rng.randint(1, 5), rng.randint(1, 5)
    return rng.choice([f"What is {a} plus {b}?", f"What is {a} + {b}?", f"How much is {a} and {b}?"]), \
        f"{a} plus {b} is {a + b}."


def why(rng):
    asks, tell = rng.choice(WHY.split("\n")).split("|")
    return rng.choice(asks.split("/")), tell


def unknown(rng):
    return rng.choice(split(UNKNOWN)), rng.choice(DONT_KNOW)


def small_talk(rng):
    asks = rng.choice(list(TALK))
    return rng.choice(asks), rng.choice(TALK[asks])


def rhyme(rng):
    topic = rng.choice(list(RHYMES))
    lines = list(RHYMES[topic])
    ask = rng.choice(["Write a poem about the {}.", "Write a short poem about the {}.", "Can you write a poem about the {}?"])
    return ask.format(topic).replace("the spring", "spring").replace("the snow", "snow"), \
        ",\n".join(lines[:3]) + ".\n" + lines[3] + "."


def named(rng):
    count, kind, words = rng.choice([
        ("three", "animals", list(ANIMALS)), ("three", "colours", stories.WORLDS["small"]["colours"]),
        ("two", "animals", list(ANIMALS)), ("three", "things", list(THINGS)), ("two", "things", list(THINGS))])
    chosen = rng.sample(words, {"two": 2, "three": 3}[count])
    if kind != "colours":
        chosen = [article(word) for word in chosen]
    text = ", ".join(chosen[:-1]) + " and " + chosen[-1] + "."
    return f"Name {count} {kind}.", text[0].upper() + text[1:]


SHORT = [(animal, 5), (thing, 5), (why, 6), (colour, 2), (opposite, 2), (capital, 1), (total, 3), (unknown, 2),
         (small_talk, 3), (rhyme, 1), (named, 1)]


def short(rng):
    """One to three questions with answers, one after the other."""
    makers = rng.choices([maker for maker, _ in SHORT], [weight for _, weight in SHORT], k=rng.choice([1, 1, 2, 3]))
    return [maker(rng) for maker in makers]


def words_of(text):
    return re.findall(r"[a-z']+", text.lower())


def taught(path):
    """SmolLM2's answers, less those with rare words: a word must be in three answers."""
    with open(path) as file:
        pairs = [json.loads(line) for line in file]
    seen = Counter(word for pair in pairs for word in set(words_of(pair["answer"])))
    good = [p for p in pairs if all(seen[word] >= 3 for word in words_of(p["answer"])) and "I'm" not in p["answer"]]
    return [[(p["question"], p["answer"])] for p in good]
