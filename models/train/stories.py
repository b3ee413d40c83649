"""stories.py - a grammar that writes small stories

A story has a hero, a friend, a place and one of the plots below. A plot is a list of beats in
order; a beat is a list of ways to say it, one of which is taken. In a way, [a|b|c] is a choice,
{slot} a word of the cast, and an empty way leaves the beat out. All choices come from one random
number generator, so a seed fixes the text.

There are three worlds. The wide one has many names and things, which teach the language; the small one
has eight names for heroes and eight others for friends; the smallest has Tom and Sam, and its plots
fix their things, so that a model which can't yet look far back keeps to them all the same.
"""

import re

NAMES = {
    "he": """Tom Ben Sam Max Leo Jack Finn Tim Paul Oscar Henry Will Nick Peter Theo Adam Alex Bob Charlie David Eric
    Fred George Ivan James John Luke Mark Noah Robert Simon Thomas Rusty Bruno Pip Otto Hugo Milo Toby Felix Barney
    Jasper Gus Monty""".split(),
    "she": """Anna Mia Lily Emma Rosa Nora Lucy Ella Clara Ida Ruth Alice Jane Sara Molly Amy Beth Carla Dana Eva Grace
    Helen Julia Kate Lena Maria Nina Olivia Sophie Tina Vera Zoe Daisy Bella Ruby Poppy Tilly Luna Hazel Dora Penny
    Willow Pearl Minnie""".split(),
}
# What a plot is about in the smallest world; a model may learn it by heart.
PROPS = {
    "lost": {"colour": "red", "thing": "ball", "place": "park"},
    "found": {"colour": "green", "thing": "hat", "place": "meadow", "place2": "market"},
    "stuck": {"place": "river", "food": "pot of honey"},
    "skill": {"skill": "swim", "to_skill": "to swim", "skill_done": "swim across the lake", "place": "lake"},
    "plant": {"place": "river"},
    "share": {"food": "loaf of bread", "place": "hill"},
    "quarrel": {"colour": "blue", "thing": "kite", "place": "meadow", "food": "cake"},
    "lonely": {"colour": "yellow", "thing": "drum", "place": "garden", "place2": "river"},
    "birthday": {"colour": "white", "thing": "book", "place": "lake"},
    "lostway": {"colour": "green", "thing": "lamp", "food": "bowl of soup"},
    "build": {"build": "boat", "build_for": "sail on the river", "build_of": "wood and rope", "place": "river",
              "colour": "blue"},
    "fear": {"fear": "the dark", "fear_when": "the lamp went out",
             "fear_truth": "the dark is only the day with its eyes closed",
             "Fear_truth": "The dark is only the day with its eyes closed"},
    "truth": {"colour": "brown", "thing": "doll"},
    "winter": {"colour": "red", "food": "bowl of soup"},
    "race": {"place": "hill", "place2": "lake", "colour": "red"},
    "rain": {"colour": "yellow", "thing": "bell", "place": "hill", "food": "cake"},
}
WORLDS = {
    "smallest": {
        "heroes": {"he": ["Tom"]},
        "friends": {"he": ["Sam"]},
        "animal": "fox cat dog bear rabbit frog mouse bird".split(),
        "adult": ["king", "farmer"],
        "other": ["train", "boat"],
        "traits": "little small brave kind clever shy".split(),
        "colours": ["red", "blue", "green"],
        "places": "forest meadow garden park market lake hill river".split(),
        "things": ["ball", "kite", "hat", "book", "bell"],
        "foods": ["cake", "apple", "carrot", "loaf of bread", "bowl of soup"],
        "plants": ["apple tree", "sunflower", "rose"],
        "props": PROPS,
    },
    "small": {
        "heroes": {"he": "Tom Ben Leo Pip".split(), "she": "Mia Anna Lily Rosa".split()},
        "friends": {"he": "Sam Max Otto Hugo".split(), "she": "Ruby Bella Emma Nora".split()},
        "animal": "fox cat dog bear rabbit frog mouse bird bee puppy owl duck".split(),
        "adult": "king queen farmer sailor".split(),
        "other": "train boat tree star".split(),
        "traits": "little small brave kind clever shy".split(),
        "colours": "red blue green yellow white brown".split(),
        "places": "forest meadow garden park market lake hill river".split(),
        "things": "ball kite hat mitten bell book key lamp drum doll cup coat".split(),
        "foods": "apple|pear|loaf of bread|piece of cheese|cake|bowl of soup|pot of honey|carrot".split("|"),
        "plants": "apple tree|sunflower|pumpkin|rose".split("|"),
    },
    "wide": {
        "heroes": NAMES,
        "friends": NAMES,
        "animal": """fox cat dog bear rabbit frog mouse owl duck hedgehog squirrel goat lamb pony turtle pig bird
        penguin elephant lion monkey deer wolf badger puppy kitten bee crow sparrow goose hen horse cow sheep donkey
        swan beaver otter seal whale fish snail ant beetle butterfly spider tiger giraffe zebra panda koala parrot
        robin raven rat mole toad lizard dragon unicorn""".split(),
        "adult": """farmer baker teacher doctor sailor fisherman cook painter singer miller gardener shepherd king
        queen prince princess knight pilot tailor postman wizard witch giant carpenter""".split(),
        "other": """train boat ship tree star cloud robot doll snowman teapot lamp car bus clock kite drum rocket
        tractor spoon shoe balloon pumpkin flower leaf stone""".split(),
        "traits": "little small young brave kind curious shy clever cheerful quiet gentle friendly".split(),
        "colours": "red blue green yellow white brown golden silver orange purple".split(),
        "places": """forest|meadow|garden|park|market|beach|river|lake|hill|old mill|barn|village square|bridge|orchard|
        pond|harbour|castle|station|church|waterfall""".replace("\n        ", "").split("|"),
        "things": """ball kite hat scarf drum bell basket lamp book boat cup key ring spoon blanket umbrella shoe coat box
        whistle mitten glove sock toy doll bicycle bottle pencil letter map flag ribbon button purse necklace crown
        coin feather shell balloon flute brush pillow ladder wheel watch picture candle hammer jar""".split(),
        "foods": """apple|pear|loaf of bread|piece of cheese|cake|pie|bowl of soup|basket of berries|pot of honey|
        bag of nuts|carrot|pancake|cookie|sandwich|plum|bowl of rice|banana|cup of milk|potato|slice of pizza|
        orange""".replace("\n        ", "").split("|"),
        "plants": "apple tree|sunflower|pumpkin|rose|bean plant|cherry tree|strawberry plant".split("|"),
    },
}
SEX = {"king": "he", "prince": "he", "knight": "he", "wizard": "he", "fisherman": "he",
       "queen": "she", "princess": "she", "witch": "she"}
HOMES = {
    "child": ["in a small house by the river", "in a village near the sea", "in a little town",
              "on a farm", "at the edge of the forest", "in a house with a red door",
              "at the end of a quiet street", "near an old mill"],
    "adult": ["in a village near the sea", "in a little town", "on a farm", "in a house by the river",
              "at the edge of the forest", "in a small house on a hill", "in an old castle", "by the sea"],
    "other": ["in a small village", "on a farm", "by the river", "near the sea", "in a little town",
              "in an old house", "on a green hill", "at the edge of the forest"],
    "animal": ["in the forest", "under an old oak tree", "near a quiet lake", "on a green hill",
               "on a farm", "by the river", "at the edge of a meadow", "in a warm barn"],
}
SKILLS = """swim|to swim in the lake|swim across the lake
fly a kite|to fly a kite|fly the kite high above the trees
read|to read a book|read a whole page aloud
bake bread|to bake bread|bake a round brown loaf
ride a bicycle|to ride a bicycle|ride down the road and back
play the drum|to play the drum|play a song from start to end
dance|to dance|dance round the room and not fall
climb a tree|to climb a tree|climb to the top of the old oak
whistle|to whistle|whistle a whole song
skate|to skate on the ice|skate round the pond and back""".split("\n")
BUILDS = """boat|sail on the river|wood and rope
bridge|cross the stream|long boards and stones
tree house|sit high above the garden|old boards and nails
kite|play in the wind|paper and string
snowman|look at when the snow had come|snow and a carrot
cart|carry heavy things|four wheels and a box
bird house|give the birds a warm home|small boards and nails
swing|play in the garden|rope and a board""".split("\n")
FEARS = """the dark|the lamp went out|the dark is only the day with its eyes closed
the thunder|a storm came over the hill|thunder is loud, but it can't hurt you at home
the deep water|the boat began to rock|water is kind to those who are calm
the big dog|a big dog ran up the road|the dog only wanted to play
the tall bridge|the path led over a tall bridge|you cross a bridge one step at a time
the cellar|a strange noise came from the cellar|the noise was only a mouse""".split("\n")
WEATHER = """The sun was shining|The sky was blue|A soft wind blew|It was a cold day|The birds were
singing|It had rained all night|The air was warm|The leaves were turning red|Snow lay on the
ground""".replace("\n", " ").split("|")

OPENINGS = [
    "Once upon a time there was {a_hero} named {name}. {He} lived {home}.",
    "Once there was {a_hero} who lived {home}. {His} name was {name}.",
    "{name} was {a_hero}. {He} lived {home}.",
    "There once was {a_hero} named {name}, who lived {home}.",
    "{name} was {a_hero} who lived {home} with {his} [mother|grandmother|family|father].",
    "Far away, {home}, there lived {a_hero}. {His} name was {name}.",
]
LIKES = [
    "", "", "",
    "{name} loved to [play near|walk to|run to|sit near] the {place2}.",
    "Every day {name} [went for a walk|played near the {place2}|helped at home and then went out to play].",
    "{name} had a good friend, {a_friend} named {friend}.",
    "Everybody liked {name}, because {he} was always [kind|friendly|cheerful].",
]
DAYS = ["One day", "One morning", "One sunny morning", "One afternoon", "One cold morning", "One evening",
        "One day in spring", "One day in autumn"]
ENDINGS = {
    "help": [
        "From that day on, {name} and {friend} were the best of friends.",
        "{name} learned that [a good friend is worth more than gold|it is easier when you ask for help|"
        "two can do what one can't].",
        "\"Thank you, {friend},\" said {name}. \"I will never forget this.\"",
        "That night {name} slept well, because {he} knew that {he} had a good friend.",
        "And whenever {friend} needed help, {name} was there.",
    ],
    "kind": [
        "{name} felt warm inside. It is good to be kind.",
        "From then on, {name} and {friend} [met every day|played together every day|were good friends].",
        "{name} went home happy, because {he} had done a good thing.",
        "That evening {name} told {his} mother everything, and she was very proud of {him}.",
        "{name} learned that a small kindness can make a big difference.",
    ],
    "try": [
        "{name} was very proud. {He} had learned that you must try again and again.",
        "\"I knew that you could do it,\" said {friend}.",
        "{name} learned that nothing is too hard if you do not give up.",
        "From that day on, {name} did it every day, and it was easy.",
        "That night {name} dreamed of all the things that {he} would learn next.",
    ],
    "home": [
        "{name} went to bed early that night and slept until morning.",
        "They all sat by the fire and laughed about it.",
        "It was the best day of the year, and {name} never forgot it.",
        "And they lived happily ever after.",
        "{name} was tired but very happy.",
    ],
}
COMING = [
    "Just then {friend}, {a_friend}, came [along|by|down the path].",
    "Then {he} met {friend}, {a_friend}.",
    "After a while {a_friend} named {friend} came by.",
    "{friend}, {a_friend}, heard {him} and came to [see|look|ask] what was wrong.",
]
ASKING = [
    "\"What is wrong?\" asked {friend}.",
    "\"Why are you so sad?\" {friend} asked.",
    "\"Can I help you?\" asked {friend} [kindly|softly|with a smile].",
    "\"You look worried,\" said {friend}. \"What happened?\"",
]

# name of the plot: (what a request may say the story is about, what it may say of the hero, beats,
# kinds of ending)
PLOTS = {
    "lost": ("a lost {thing}", ["who loses a {colour} {thing}", "who lost a {thing}", "who can not find the {thing}", "who is looking for a {thing}"], [
        ["{name} had a {colour} {thing} that {he} loved very much.",
         "{His} favourite thing was a {colour} {thing}, a present from {his} grandmother.",
         "{He} had a {colour} {thing}, and {he} took it everywhere."],
        ["{day} {name} went to the {place}, and when {he} came home, the {thing} was gone.",
         "{day} {he} could not find the {thing}. It was not at home and not in the garden.",
         "{day} {name} played at the {place} and forgot the {thing} there. In the evening it was gone."],
        ["{name} was very sad and began to cry.", "{He} looked everywhere, but {he} could not find it.",
         "{name} looked [under the bed|behind the door|in every corner], but it was not there."],
        COMING, ASKING,
        ["\"I have lost my {colour} {thing},\" said {name}.",
         "\"My {thing} is gone,\" said {name}, \"and I don't know where it is.\""],
        ["\"Don't cry,\" said {friend}. \"We will look for it together.\"",
         "\"Let us go back to the {place},\" said {friend}. \"Four eyes see more than two.\"",
         "{friend} thought for a moment. \"Where did you see it last?\" {fhe} asked."],
        ["They walked to the {place} and looked [behind every stone|under every tree|in the tall grass].",
         "So they went back along the path, step by step.",
         "Together they looked [here and there|all afternoon|until the sun was low]."],
        ["At last {friend} saw something {colour} [under a bush|in the grass|behind a tree|on a branch]. "
         "It was the {thing}!",
         "Suddenly {name} saw the {thing}. It lay [in the grass|under a tree|behind a big stone].",
         "And there, [under a bush|beside the path|between two stones], was the {colour} {thing}!"],
        ["{name} jumped for joy.", "\"You found it!\" cried {name}.", "{name} was so happy that {he} danced.", ""],
    ], ["help", "home"]),
    "found": ("finding a {thing}", ["who finds a {colour} {thing}", "who found a {thing}", "who finds a {thing} and gives it back"], [
        ["{day} {name} went for a walk to the {place} and found a {colour} {thing}.",
         "{day} {he} saw something [bright|small|strange] near the {place}. It was a {colour} {thing}.",
         "{day} {name} was on {his} way to the {place} when {he} found a {colour} {thing} on the ground."],
        ["It was very beautiful, and {name} wanted to keep it.",
         "\"What a lovely {thing},\" thought {name}. \"I would like to keep it.\"", ""],
        ["But then {he} thought: somebody must have lost it.",
         "But {name} knew that it belonged to somebody else.",
         "\"But somebody will be looking for it,\" {he} said to {himself}."],
        ["So {he} went from door to door and asked, \"Is this your {thing}?\"",
         "So {name} took the {thing} and asked everybody {he} met.",
         "So {he} carried the {thing} to the {place2} and asked who had lost it."],
        ["At the {place2} {he} met {friend}, {a_friend}, who looked very sad.",
         "Near the {place2} sat {a_friend} and cried. {fHis} name was {friend}."],
        ["\"I have lost my {thing},\" said {friend}. \"It was {colour}, and I loved it so much.\"",
         "\"My {colour} {thing} is gone,\" said {friend}."],
        ["\"Here it is,\" said {name} and gave it to {fhim}.",
         "{name} smiled and held out the {thing}. \"Is this the one?\" {he} asked."],
        ["{friend} laughed and cried at the same time.", "{friend} was so happy that {fhe} [danced|hugged {name}|could not speak].",
         "\"Thank you!\" said {friend}. \"You are very kind.\""],
        ["{friend} gave {name} a {food} to say thank you.", "Then they shared a {food} in the sun.", ""],
    ], ["kind", "home"]),
    "stuck": ("helping a friend", ["who helps a friend", "who saves {a_fkind}", "who helps {a_fkind}"], [
        ["{day} {name} walked along the {place} and heard somebody cry for help.",
         "{day} {name} heard a small voice near the {place}. \"Help! Help!\" it cried."],
        ["It was {friend}, {a_friend}, who [was stuck in the mud|had fallen into a hole|could not get down from a tree].",
         "{He} ran as fast as {he} could. There was {friend}, {a_friend}, "
         "[caught in a thorn bush|stuck between two stones|in a deep hole]."],
        ["{name} pulled and pulled, but {he} was not strong enough.",
         "\"Don't be afraid,\" said {name}. \"I will help you.\"",
         "{name} was afraid, but {he} did not run away."],
        ["Then {he} had an idea.", "{He} sat down and thought.", "\"Wait here,\" said {name}. \"I have an idea.\""],
        ["{He} [ran home and came back with|went to the farm and borrowed|looked around and found] a long rope.",
         "{He} found a long branch and held it out to {friend}."],
        ["\"Hold on!\" said {name}, and {he} pulled with all {his} strength.",
         "{friend} held on, and {name} pulled as hard as {he} could."],
        ["[Slowly|Little by little|Bit by bit], {friend} came free.", "One, two, three, and {friend} was free!"],
        ["\"You saved me,\" said {friend}. \"How can I thank you?\"",
         "{friend} was [wet|dirty|tired] but very happy. \"Thank you, {name},\" {fhe} said."],
        ["\"That is what friends are for,\" said {name}.", "\"You would do the same for me,\" said {name}.", ""],
        ["They went home together and shared a {food}.", ""],
    ], ["kind", "home"]),
    "skill": ("learning {to_skill}", ["who wants {to_skill}", "who learns {to_skill}", "who can not {skill}", "who does not know how {to_skill}"], [
        ["{name} wanted to learn {to_skill}, but {he} did not know how.",
         "More than anything, {name} wished {to_skill}."],
        ["{day} {he} tried for the first time, but it went wrong.",
         "{day} {he} tried it at the {place}. It was much harder than it looked."],
        ["{name} [fell|failed] again and again, and {he} wanted to give up.",
         "\"I can't do it,\" said {name}. \"It is too hard.\"",
         "Some of the others laughed, and {name} went home sad."],
        ["{friend}, {a_friend}, saw it and said, \"I will show you.\"",
         "Then {a_friend} named {friend} came by. \"I could not do it at first either,\" {fhe} said."],
        ["\"Start with a small step,\" said {friend}. \"Then take the next one.\"",
         "\"You must try a little every day,\" said {friend}.",
         "\"Don't hurry,\" said {friend}. \"Look at me and do the same.\""],
        ["So {name} tried every day, in the morning and in the evening.",
         "{name} listened and tried again. It went a little better.",
         "The next day they met again, and the day after that too."],
        ["At the end of the week, {name} could {skill_done}.",
         "Then, on a [fine|bright|quiet] morning, it worked. {name} could {skill_done}!"],
        ["Everybody came to see it and clapped.", "\"Look at me!\" cried {name}.",
         "{name} laughed out loud.", ""],
    ], ["try", "home"]),
    "plant": ("planting a seed", ["who plants a seed", "who grows a {plant}", "who has a garden", "who plants a {plant}"], [
        ["{day} {name} got a small seed from {friend}, {a_friend}.",
         "{day} {friend}, {a_friend}, gave {name} a small brown seed."],
        ["\"Put it into the ground,\" said {friend}, \"and you will see something wonderful.\"",
         "\"What is it?\" asked {name}. \"Wait and see,\" said {friend}."],
        ["{name} made a little hole in the garden and put the seed into it.",
         "{name} found a sunny place near the {place} and planted the seed."],
        ["Every day {he} gave it water, but nothing happened.",
         "{He} waited one day, two days, three days. There was only brown earth."],
        ["\"Maybe it is asleep,\" thought {name}.", "\"It will never grow,\" said {name} sadly.", ""],
        ["\"Good things take time,\" said {friend}.", "\"Be patient,\" said {friend}. \"It is working under the ground.\""],
        ["Then, one morning, there was a small green leaf.",
         "After a week of rain and sun, something green looked out of the ground."],
        ["It grew and grew, and in summer it was a big {plant}.",
         "Day by day it grew taller, until it was a beautiful {plant}."],
        ["{name} called {friend}, and they sat down beside it.", "\"It is wonderful,\" said {name}.",
         "All the neighbours came to see it."],
        ["{name} learned that good things need time and care.",
         "In autumn {name} gathered the new seeds and gave one to every friend.",
         "Since then {name} plants a new seed every spring."],
    ], ["home"]),
    "share": ("sharing a {food}", ["who shares a {food}", "who has a {food}", "who shares with {a_fkind}", "who is hungry"], [
        ["{day} {name} had a {food}, and {he} was very hungry.",
         "{day} {name}'s grandmother gave {him} a {food}.", "{day} {name} bought a {food} at the market."],
        ["{He} sat down near the {place} to eat it.", "{He} carried it to the {place} and sat down under a tree."],
        ["Then {he} saw {friend}, {a_friend}, who had nothing to eat.",
         "Just then {a_friend} came by. {fHis} name was {friend}, and {fhe} looked thin and tired."],
        ["\"I have not eaten all day,\" said {friend}.", "\"That smells so good,\" said {friend} softly.", ""],
        ["{name} looked at the {food}. It was not very big.",
         "{name} thought about it. {He} wanted to eat it all alone.", ""],
        ["But then {he} smiled. \"There is enough for two,\" {he} said.",
         "\"Come and sit with me,\" said {name}. \"We will share it.\""],
        ["{He} cut it into two parts and gave {friend} the bigger one.",
         "So they shared it, and it tasted better than ever."],
        ["They talked and laughed until the sun went down.", "\"You have a good heart,\" said {friend}.",
         "Then they played together all afternoon."],
        ["The next day {friend} came back with a {food2} for {name}.",
         "A week later, when {name} was hungry, {friend} shared a {food2} with {him}.", ""],
    ], ["kind", "home"]),
    "quarrel": ("two friends and a {thing}", ["who fights with a friend", "who says sorry", "who wants a {thing}"], [
        ["{name} and {friend}, {a_friend}, were good friends.",
         "{name}'s best friend was {friend}, {a_friend}."],
        ["{day} they both wanted to play with the same {colour} {thing}.",
         "{day} they found a {colour} {thing} near the {place}, and both wanted to have it."],
        ["\"It is mine,\" said {name}. \"No, it is mine,\" said {friend}.",
         "\"I saw it first!\" cried {name}. \"No, I did!\" cried {friend}."],
        ["They pulled and pulled, until the {thing} [broke|fell into the mud].",
         "They shouted at each other, and then each of them went home alone."],
        ["{name} sat at home and felt sad. It was no fun to play alone.",
         "That evening {name} could not eat. {He} missed {his} friend."],
        ["\"A {thing} is only a {thing},\" {he} thought, \"but a friend is a friend.\"",
         "\"I was not kind,\" thought {name}. \"I must say that I am sorry.\""],
        ["So the next morning {he} went to see {friend}.", "{He} took a {food} and went to {friend}'s house."],
        ["\"I am sorry,\" said {name}. \"I am sorry too,\" said {friend}."],
        ["They laughed and [hugged|shook hands], and then they played together.",
         "Then they took turns, and it was much more fun."],
        ["{name} learned that a friend is worth more than a {thing}.",
         "From that day on they shared everything.", "And they never fought about a {thing} again."],
    ], ["home"]),
    "lonely": ("a new friend", ["who is lonely", "who finds a friend", "who has no friends", "who meets {a_fkind}"], [
        ["But {name} was lonely, because {he} had nobody to play with.",
         "{name} was new there and did not know anybody."],
        ["{day} {he} sat near the {place} and watched the others play.",
         "{day} {he} went to the {place} all alone."],
        ["{He} was too shy to speak.", "{name} wanted to ask if {he} could play too, but {he} did not dare.", ""],
        ["There {he} saw {a_friend} who sat alone too.",
         "Then {he} saw {a_friend} under a tree. {fHe} was alone as well."],
        ["{name} took a deep breath and said, \"Hello, my name is {name}.\"",
         "\"Hello,\" said {name} very softly. \"Would you like to play with me?\""],
        ["\"I am {friend},\" said the {fkind}. \"I was hoping that somebody would talk to me.\"",
         "The {fkind} smiled. \"My name is {friend},\" {fhe} said. \"I would love to play.\""],
        ["They [played with a {colour} {thing}|ran to the {place2}|told each other stories] until it was dark.",
         "{friend} had a {colour} {thing}, and they played with it all day."],
        ["\"Will you come back tomorrow?\" asked {friend}. \"Yes,\" said {name}, \"I will.\"",
         "\"Let us meet here every day,\" said {friend}."],
        ["{name} was not lonely any more.", "{name} learned that one small word can be the start of a friendship.",
         "{name} ran home and told {his} mother that {he} had a friend."],
    ], ["home"]),
    "birthday": ("a birthday", ["who has a birthday", "who gets a {thing} for a birthday", "who gets a present"], [
        ["{day} {name} woke up and was very excited. It was {his} birthday!",
         "{day} it was {name}'s birthday."],
        ["But nobody said a word about it.", "But when {he} came into the kitchen, nobody was there."],
        ["\"Have they all forgotten me?\" thought {name}.", "{name} was sad. \"They have forgotten it,\" {he} thought."],
        ["{He} walked to the {place} all alone.", "So {he} took a walk to the {place}."],
        ["On the way back {he} met {friend}, {a_friend}. \"Come with me,\" said {friend}. \"I must show you something.\"",
         "There {he} met {friend}, {a_friend}, who said, \"Please come home with me.\""],
        ["When they opened the door, all {his} friends were there. \"Surprise!\" they cried.",
         "The house was dark. Then the lamps went on, and all {his} friends began to sing."],
        ["There was a big cake, and a present with a {colour} ribbon.",
         "On the table stood a cake with {number} candles."],
        ["{name} opened the present. It was a {colour} {thing}!",
         "{friend} gave {him} a {colour} {thing}, just what {he} had wished for."],
        ["They sang and danced until late in the evening.", "Everybody ate cake and played games.", ""],
    ], ["home"]),
    "lostway": ("being lost in the forest", ["who gets lost in the forest", "who is lost", "who can not find the way home"], [
        ["{day} {name} went into the forest to look for [berries|mushrooms|flowers].",
         "{day} {name} followed a butterfly deep into the forest."],
        ["{He} walked on and on, and suddenly {he} did not know the way home.",
         "When {he} looked up, all the trees looked the same. {He} was lost."],
        ["It grew dark, and {name} was afraid.", "The sun went down, and {he} began to cry."],
        ["Then {he} heard a voice. It was {friend}, {a_friend}.",
         "A [small|soft|deep] voice said, \"Who is there?\" It was {a_friend} named {friend}."],
        ["\"I can't find my way home,\" said {name}.", "\"Please help me,\" said {name}. \"I am lost.\""],
        ["\"Look up,\" said {friend}. \"The bright star shows us the way.\"",
         "\"Listen,\" said {friend}. \"Can you hear the river? It runs past your home.\"",
         "\"I know this forest well,\" said {friend}. \"Come with me.\""],
        ["They walked [through the trees|over the hill|along the stream], and {friend} sang a song so that {name} was not afraid.",
         "They went slowly, side by side."],
        ["At last {name} saw the light of {his} home.", "After a long time they saw a light between the trees. It was {name}'s home."],
        ["{His} mother ran out and held {him} tight.", "{His} family was so glad to see {him}."],
        ["{friend} stayed for supper, and they ate a {food}.", "{name} gave {friend} a {colour} {thing} to say thank you.", ""],
    ], ["help", "home"]),
    "build": ("building a {build}", ["who builds a {build}", "who wants to build a {build}", "who makes a {build}"], [
        ["{day} {name} had an idea. {He} wanted to build a {build}.",
         "{name} wanted to {build_for}. So {day_low} {he} began to build a {build}."],
        ["{He} looked for {build_of} and carried everything to the {place}.",
         "{He} needed {build_of}, and {he} found it all near the {place}."],
        ["But when it was half done, it fell apart.", "But the wind came and blew it over."],
        ["\"Oh no!\" cried {name}. \"All my work is gone.\"", "{name} was angry and kicked a stone."],
        ["{friend}, {a_friend}, had seen it. \"Let me hold this side,\" {fhe} said.",
         "Then {a_friend} named {friend} came by. \"It needs two of us,\" {fhe} said."],
        ["They worked all day, and this time they worked slowly and with care.",
         "{name} held one side and {friend} the other, and it did not fall."],
        ["In the evening the {build} was ready.", "At last it was done. It was the finest {build} in the land."],
        ["Now they could {build_for}.", "They painted it {colour} and looked at it for a long time.",
         "Everybody came to look at it."],
    ], ["help", "try", "home"]),
    "fear": ("being brave", ["who is afraid of {fear}", "who is brave", "who is not afraid any more", "who learns to be brave"], [
        ["{name} was afraid of {fear}.", "There was only one thing that {name} did not like: {he} was afraid of {fear}."],
        ["{day} {he} was with {friend}, {a_friend}, when {fear_when}.",
         "{day} {name} visited {friend}, {a_friend}. Suddenly {fear_when}."],
        ["{name} began to shake and wanted to run away.", "{name} closed {his} eyes and did not move."],
        ["\"Take my hand,\" said {friend}. \"We will look together.\"",
         "\"You are not alone,\" said {friend}. \"I am here with you.\""],
        ["\"{Fear_truth},\" {fhe} said.", "\"My grandmother always says: {fear_truth},\" said {friend}."],
        ["{name} took a deep breath and opened {his} eyes.", "Slowly, {name} took one step, and then another."],
        ["It was not so bad after all.", "And nothing bad happened."],
        ["\"I did it!\" said {name}.", "\"You are very brave,\" said {friend}.",
         "{name} even began to laugh."],
        ["{name} learned that being brave does not mean that you are never afraid.",
         "From that day on {name} was not afraid of {fear} any more.",
         "And when {friend} was afraid of something, {name} took {fhis} hand."],
    ], ["home"]),
    "truth": ("telling the truth", ["who tells a lie", "who tells the truth", "who breaks something"], [
        ["{day} {name} played in the house with a {colour} {thing}, and {he} broke {his} grandmother's [cup|bowl|lamp|window].",
         "{day} {name} ran through the kitchen and broke {his} mother's best [bowl|plate|cup]."],
        ["\"Who did this?\" asked {his} mother in the evening.", "When {his} mother came home, she asked what had happened."],
        ["\"It was the wind,\" said {name}.", "\"I don't know,\" said {name} and looked at the floor.",
         "\"It was {friend},\" said {name}, but {friend} was only {a_friend} who had not been there."],
        ["But that night {name} could not sleep.", "But {name} had a bad feeling [in {his} stomach|all evening]."],
        ["\"I must tell the truth,\" {he} thought.", "The words felt heavy as a stone."],
        ["In the morning {he} went to {his} mother and said, \"It was me. I am sorry.\"",
         "So {he} got up and told {his} mother everything."],
        ["\"Thank you for telling me,\" she said. \"A {thing2} can be mended, but a lie makes everybody sad.\"",
         "{His} mother was not angry. \"It is brave to tell the truth,\" she said."],
        ["Together they [mended it with glue|cleaned the floor|made a new one].", "Then she gave {him} a hug.", ""],
        ["{name} felt light and happy again.", "{name} never told a lie again.", "Since then {name} always tells the truth."],
    ], ["home"]),
    "winter": ("a cold winter", ["in winter", "in the snow", "who helps {a_fkind} in winter", "who has a warm house"], [
        ["Winter came, and snow lay on [the hills|the roof|everything].", "It was the coldest winter in many years."],
        ["{day} {name} heard a soft knock at the door.", "{day} {name} looked out of the window and saw something in the snow."],
        ["It was {friend}, {a_friend}, who was shaking with cold.",
         "There stood {a_friend} named {friend}. {fHe} was wet and cold."],
        ["\"The wind blew my house away,\" said {friend}.", "\"I have no food and no fire,\" said {friend}."],
        ["\"Come in quickly,\" said {name}.", "\"Come in and sit by the fire,\" said {name}."],
        ["{name} gave {fhim} a warm blanket and a {food}.", "{He} made tea and gave {friend} {his} own {colour} blanket."],
        ["All evening they told each other stories.", "Outside the wind blew, but inside it was warm."],
        ["{friend} stayed until spring.", "In the morning the sun came out, and they built a snowman.",
         "{friend} stayed all winter, and they were never bored."],
        ["When the snow was gone, {friend} brought {name} the first flowers.",
         "In spring they built a new house for {friend}, right next door.", ""],
    ], ["kind", "home"]),
    "race": ("a race", ["who runs a race", "who wants to win", "who wins a race"], [
        ["{day} there was a race from the {place} to the {place2}.",
         "{day} all the animals and children met at the {place} for a race."],
        ["{name} wanted to win more than anything.", "{name} had never won before, but {he} wanted to try."],
        ["{friend}, {a_friend}, ran too. {fHe} was the fastest of all.",
         "\"You can never win,\" said {friend}, {a_friend}. \"I am much faster than you.\""],
        ["\"One, two, three, go!\" They all began to run.", "The bell rang, and off they went."],
        ["{friend} was far ahead. But then {fhe} fell and hurt {fhis} leg.",
         "Soon {friend} was first and {name} was second. Then {friend} fell over a stone."],
        ["{name} could run past and win.", "Now {name} could be first. {He} looked at the end of the road."],
        ["But {he} stopped and helped {friend} to stand up.", "But {name} could not leave {fhim} there. {He} turned back."],
        ["\"Why did you stop?\" asked {friend}. \"Because you needed me,\" said {name}."],
        ["Slowly they walked to the end, arm in arm, and they were the last.",
         "They came in last, but everybody clapped for them."],
        ["\"You are the real winner,\" said {friend}.", "{friend} gave {name} the {colour} ribbon that {fhe} had won the year before."],
    ], ["kind", "home"]),
    "rain": ("a rainy day", ["on a rainy day", "in the rain", "who is bored", "who does not like the rain"], [
        ["{day} it rained and rained, and {name} could not go out.", "{day} the rain fell on the roof, and {name} was bored."],
        ["\"What can I do?\" asked {name}.", "{name} looked out of the window. \"I have nothing to do,\" {he} said."],
        ["Then {friend}, {a_friend}, came to visit with a {colour} {thing} under {fhis} arm.",
         "Then there was a knock at the door. It was {friend}, {a_friend}, with a {colour} umbrella."],
        ["\"Let us make a [boat|house|castle] out of [paper|an old box|blankets],\" said {friend}.",
         "\"A rainy day is the best day for stories,\" said {friend}."],
        ["They built and painted and laughed.", "They played all morning, and the time went by fast."],
        ["Then they ate a {food} and drank warm milk.", "{name}'s mother made them a {food}."],
        ["When the rain stopped, there was a rainbow over the {place}.",
         "In the afternoon the sun came out, and they jumped into every puddle."],
        ["\"I like rain now,\" said {name}.", "\"I hope it rains again tomorrow,\" said {name}."],
    ], ["home"]),
}

PRONOUNS = {
    "he": {"he": "he", "him": "him", "his": "his", "himself": "himself"},
    "she": {"he": "she", "him": "her", "his": "her", "himself": "herself"},
}


def article(words):
    return ("an " if words[0] in "aeiou" else "a ") + words


def someone(rng, world, names):
    """A figure: {name, kind, trait, sex, sort}."""
    sex = rng.choice(list(names))
    sort = rng.choices(["animal", "child", "adult", "other"], [55, 31, 7, 7])[0]
    kind = {"he": "boy", "she": "girl"}[sex] if sort == "child" else rng.choice(world[sort])
    sex = SEX.get(kind, sex)
    return {"name": rng.choice(names[sex]), "kind": kind, "sex": sex, "sort": sort,
            "trait": rng.choice(world["traits"])}


def other(rng, options, *taken):
    return rng.choice([option for option in options if option not in taken])


def cast(rng, world):
    hero, friend = someone(rng, world, world["heroes"]), someone(rng, world, world["friends"])
    while friend["name"] == hero["name"]:
        friend = someone(rng, world, world["friends"])
    slots = {"name": hero["name"], "kind": hero["kind"], "trait": hero["trait"],
             "a_hero": article(f"{hero['trait']} {hero['kind']}"),
             "home": rng.choice(HOMES[hero["sort"]]), "friend": friend["name"], "fkind": friend["kind"],
             "a_fkind": article(friend["kind"]),
             "a_friend": article(other(rng, world["traits"], hero["trait"]) + " " + friend["kind"])}
    slots.update(PRONOUNS[hero["sex"]])
    slots.update({"f" + key: word for key, word in PRONOUNS[friend["sex"]].items()})
    slots["place"] = other(rng, world["places"], *[p for p in world["places"] if p in slots["home"]])
    slots["place2"] = other(rng, world["places"], slots["place"])
    slots["thing"] = rng.choice(world["things"])
    slots["thing2"] = "thing"
    slots["colour"] = rng.choice(world["colours"])
    slots["food"] = rng.choice(world["foods"])
    slots["food2"] = other(rng, world["foods"], slots["food"])
    slots["plant"] = rng.choice(world["plants"])
    slots["number"] = rng.choice("five six seven eight nine".split())
    slots["skill"], slots["to_skill"], slots["skill_done"] = rng.choice(SKILLS).split("|")
    slots["build"], slots["build_for"], slots["build_of"] = rng.choice(BUILDS).split("|")
    slots["fear"], slots["fear_when"], slots["fear_truth"] = rng.choice(FEARS).split("|")
    slots["day"] = rng.choice(DAYS)
    slots["day_low"] = slots["day"][0].lower() + slots["day"][1:]
    for key in ("he", "his", "fear_truth"):
        slots[key[0].upper() + key[1:]] = slots[key][0].upper() + slots[key][1:]
    for key in ("fhe", "fhis"):
        slots["f" + key[1].upper() + key[2:]] = slots[key][0].upper() + slots[key][1:]
    return slots


def filled(text, slots):
    return re.sub(r"\b([Aa]) (?=[aeiou])", r"\1n ", text.format(**slots))


def say(rng, ways, slots):
    text = re.sub(r"\[([^\]]*)\]", lambda choice: rng.choice(choice.group(1).split("|")), rng.choice(ways))
    text = filled(text, slots)
    return re.sub(r"^[a-z]", lambda first: first.group(0).upper(), text)


def story(rng, world):
    """Return (slots, subject, clause, text): cast, matter, a word on the hero for a request, story."""
    slots = cast(rng, WORLDS[world])
    plot = rng.choice(list(PLOTS))
    slots.update(WORLDS[world].get("props", {}).get(plot, {}))
    subject, clauses, beats, endings = PLOTS[plot]
    parts = [say(rng, OPENINGS, slots)]
    knows_friend = plot not in ("quarrel", "lonely")
    likes = LIKES if knows_friend else LIKES[:5]
    parts.append(say(rng, [way for way in likes if "{a_friend}" not in way], slots))
    if rng.random() < 0.2:
        parts.append(rng.choice(WEATHER) + ".")
    parts += [say(rng, beat, slots) for beat in beats]
    parts.append(say(rng, ENDINGS[rng.choice(endings)], slots))
    slots["plot"] = plot
    return slots, filled(subject, slots), filled(rng.choice(clauses), slots), " ".join(part for part in parts if part)
