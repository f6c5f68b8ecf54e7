"""What a first grader says: what sentences and questions look like, one line a pattern, and the words in them.

A pattern begins with its weight. `{pet}` is a word of that class and `{pet|farm}` one of either; `{pet+s}` is a
plural, `{a+pet}` has its article. `[who]` is a subject from SUBJECTS, `[one]` a singular one and `[child]` no
grown-up; a verb with `~` agrees with it (`eat~`, `{act~}`), and OWN is the subject's my, his, her ... A `*` stands for
each of FAMILIES in turn, so `{*} {*_act}` is an animal and what its family does.
"""

# Weight, person (as sentences.agree takes it), OWN, whether a child, subject.
SUBJECTS = """
20 i    my    child i
10 they our   child we
7  they their child they
10 he   his   child he
10 he   her   child she
6  he   his   child {boyname}
6  he   her   child {girlname}
4  he   his   grown {father}
4  he   her   grown {mother}
5  he   his   child the boy
5  he   her   child the girl
2  he   his   grown my {brother}
2  he   her   grown my {sister}
4  they their child the {kid+s}
3  they their child {boyname} and {girlname}
"""

FAMILIES = "pet farm pond sea bird zoo wood"

SENTENCES = """
50 [who] {act~}
20 [who] {move~} {pace}
8  [who] {speak~} {volume}
10 [who] can {act}
10 [who] like~ to {hobby}
8  [who] want~ to {hobby}
6  [who] know~ how to {hobby}
8  [who] play~ in the {outdoors}
5  [who] {hobby~} in the {daypart}
6  on {day} [who] {hobby~}
5  in the {daypart} [who] {hobby~}
34 [who] {go~} to the {place}
14 [child] go~ to {goal}
9  [who] will go to the {place} {soon}
8  on {day} [who] {go~} to the {place}
26 [who] eat~ {a+fruit|snack}
12 [who] eat~ {some} {food}
6  [who] eat~ {meal} at {mealplace}
3  [who] eat~ lunch at noon
5  [who] eat~ bread with {spread}
18 [who] drink~ {chill} {drink}
8  [who] drink~ {drink} from {a+vessel}
8  [who] do~ not like {food|drink}
7  [who] want~ some {food|drink}
9  [child] want~ {a+toy|snack}
18 [who] read~ {a+book_look} {book}
7  [who] read~ the {book} to OWN {dear}
6  [who] write~ {a+mail} to the {worker|royal}
18 [child] play~ with OWN {toy|pet}
20 [one] wear~ {a+colour} {wear}
9  [who] wear~ {colour} {shoe+s}
24 [who] be~ {feeling}
9  [who] be~ very {nature}
9  [who] be~ in the {room}
5  [who] be~ at the {place}
18 [child] have~ {a+colour} {toy|tool|road}
12 [who] have~ {a+look} {pet|farm}
12 [child] have~ {number} {toy+s}
14 [who] {like~} {pet+s|farm+s|zoo+s}
16 [who] {like~} {fruit+s|snack+s}
8  [who] {like~} the tall {tall}
7  [who] {like~} the {wide}
5  [who] {like~} OWN {dear}
24 [who] {see~} {a+pet|farm|bird|zoo|wood|bug}
9  [who] {see~} the {look} {pet|farm|bird|zoo|wood|bug}
12 [who] {see~} {number} {pet+s|bird+s|bug+s}
48 [who] {chore~}
7  [who] wash~ OWN {body}
4  [who] brush~ OWN {hair}
8  [who] sit~ on the {seat}
6  [who] help~ OWN {dear}
7  [child] ride~ the {ride} to school
6  [who] go~ to sleep at {clock}
5  [who] know~ where the {toy|tool} is
4  [who] know~ why the {baby} {fuss+s}
4  [who] know~ who has the {toy}
4  [who] know~ what the {pet} wants
5  [who] stay~ inside when it {storm+s}
4  [who] give~ the {pet|farm} some {feed}

12 the {*} {*_act+s}
5  the {look} {*} {*_act+s}
6  {number} {*+s} {*_act}
3  one {*} {*_act+s}
5  the {*+s} {*_act}
7  the {*} {*_act+s} {*_home}
3  {number} {look} {*+s} {*_act} {*_home}
3  there is {a+*} {*_home}
2  there are {number} {*+s} {*_home}

12 the {pet} runs to the {nearby}
10 the {pet|farm} is {animal_feeling}
6  the {coat} {pet|farm} is {animal_feeling}
8  the {flier} flies over the {tall|wide}
6  {number} {flier+s} fly in the sky
6  {a+crawler} sits on the {perch}
5  the {crawler} crawls on the {perch}
6  {number} {crawler+s} crawl on the {perch}
16 the {noise}
16 the {part}
18 the {chase}
16 {fact}
18 the {truth}

14 the {job}
7  the {worker} helps the {kid}
6  the {worker|royal} is {nature}
5  the {lady} wears {a+colour} {fine}
5  the {royal} lives in the castle
5  the {baby} {fuss+s}
4  the {baby} drinks warm milk

14 the {toy|tool|dish} is on the {top}
8  the {toy|tool|small_thing} is in the {holder}
8  the {pet} is under the {roof}
6  the {small_thing|dish} is under the {roof}
12 the {toy|wear|road} is {colour}
8  the {toy|tool|dish|book|wear} is {state}
6  the {shoe+s} are {state}
5  the {food|snack|drink} tastes {taste}
12 this is my {toy|wear|tool|pet}
7  that is your {toy|wear|tool|book}
5  these are our {shoe+s|toy+s}
5  those are her {shoe+s|toy+s}
8  here is {a+size} {toy|dish|holder}
7  it is {a+colour} {wear|toy|road}
6  there are {number} {fruit+s|snack+s} on the table
7  look at the {look} {pet|farm|zoo|wood}

8  the {road} goes fast
6  the {colour} {road} stops here
5  the {boat} sails on the {water_body}
6  the {plane} flies in the sky
8  the {grow} grows in the {soil}
8  the {flower} is {petal}
5  the sun shines in the {daypart}
4  the stars shine at night

16 it is {weather} today
5  it is {weather} outside
5  it is {season_weather}
5  it {storm+s}
5  today is {day}
5  i like {season}
10 good {daypart|night}
6  good {daypart|night} {mother|father|girlname|boyname}
5  thank you {mother|father|girlname|boyname}
5  please {polite}
5  please {join} with me
4  you are my {friend}
4  you can {act}
5  let us {act}
34 {cry}
6  happy birthday {mother|father|girlname|boyname}
"""

QUESTIONS = """
6 can the {pet} {pet_act}
3 can {a+pond|sea} swim
3 can you {act}
2 can we go to the {place}
5 where is the {pet|toy|tool}
2 where is my {wear|pet}
2 where are my {shoe+s|toy+s}
4 do you like {food|drink|fruit+s}
3 do you have {a+colour} {toy|tool}
2 do {flier+s} fly
2 does the {pet|farm} {pet_act}
2 does {mother|father|girlname|boyname} like {food|drink}
4 who reads the {book}
2 who has the {toy|tool}
2 who wants some {food|drink}
3 is the {toy|wear} {colour}
2 is it {weather} today
2 is {mother|father|girlname|boyname} {feeling}
2 are you {feeling}
2 are the {pet+s|farm+s} in the {yard|room}
2 what does the {pet|farm} eat
2 what is in the {holder}
2 what is on the {top}
1 why is the {kid|baby} {animal_feeling}
1 why are you {animal_feeling}
2 when do we eat {meal}
1 when does the {ride} stop
2 how do {flier+s} fly
2 what do you see at the {place}
2 will you play with me
2 will we go to the {place} {soon}
"""


# By what makes sense together; the commonest of a class stand first. Commas separate the phrases of a class that holds
# phrases. Nouns stand in the singular and verbs in their plain form. No two classes that meet in the same place of a
# sentence may share a word: then a sentence could come about in two ways, and the entropy of the corpus would be wrong.
WORDS = {
    # People. Sorted by sex for his and her, by age for who plays with dolls.
    "boyname": "sam ben max tom leo jack",
    "girlname": "anna lily emma mia rosa kate",
    "father": "dad grandpa",
    "mother": "mom grandma",
    "kid": "boy girl child",
    "brother": "brother uncle",
    "sister": "sister aunt",
    "dear": "mom dad friend sister brother teacher family",
    "worker": "teacher farmer doctor baker nurse vet",
    "lady": "queen princess girl",
    "friend": "friend teacher sister brother",
    "royal": "king queen prince princess",
    "baby": "baby",
    "fuss": "cry sleep smile laugh",
    # What people do, with nothing after it.
    "act": "play run jump sing swim dance read draw laugh paint smile",
    "move": "run walk swim hop climb",
    "hobby": "play swim read dance paint draw",
    "pace": "fast slowly again",
    "speak": "talk sing laugh",
    "volume": "loudly softly",
    "go": "go walk run ride hurry",
    "join": "play come sit walk run",
    "polite": "sit stop wait listen help stay",
    "like": "like love",
    "see": "see draw watch",
    "feeling": "happy sad tired hungry sleepy sick angry thirsty proud scared",
    "nature": "nice kind brave funny smart",
    # Places, by their preposition.
    "place": "park zoo store farm beach library pool market museum playground",
    "goal": "school bed camp",
    "yard": "yard barn garden field",
    "nearby": "park house yard garden farm barn",
    "outdoors": "park rain snow sun garden yard",
    "room": "kitchen house bedroom",
    "mealplace": "home camp",
    "clock": "night seven eight nine",
    "seat": "chair bench couch",
    "top": "table desk shelf floor",
    "roof": "table bed chair tree bench couch",
    "holder": "box bag basket drawer",
    "tall": "tree house tower building",
    "wide": "hill river bridge",
    # Animals: every family comes with what it does and where (`_act`, `_home`).
    "pet": "dog cat puppy kitten hamster",
    "pet_act": "run play sleep jump eat hide",
    "pet_home": "in the house,in the yard,in the park,in the garden",
    "farm": "cow pig horse sheep goat hen donkey lamb",
    "farm_act": "eat sleep walk rest",
    "farm_home": "on the farm,in the barn,in the field",
    "pond": "duck fish frog turtle goose swan",
    "pond_act": "swim dive splash",
    "pond_home": "in the pond,in the lake,in the river",
    "sea": "whale shark dolphin seal octopus",
    "sea_act": "swim dive play",
    "sea_home": "in the sea,in the ocean",
    "bird": "bird owl robin crow eagle parrot",
    "bird_act": "sit rest eat sleep",
    "bird_home": "in the tree,in the garden,in the bush",
    "zoo": "lion bear monkey elephant tiger giraffe zebra panda",
    "zoo_act": "eat sleep play rest",
    "zoo_home": "at the zoo,in the shade,in the grass",
    "wood": "rabbit fox mouse squirrel deer wolf",
    "wood_act": "hide run eat sleep",
    "wood_home": "in the woods,in the forest,in the bush",
    "bug": "ant spider bee butterfly snail worm",
    "animal_feeling": "hungry happy tired sleepy sick scared thirsty",
    "feed": "food water",
    "look": "little big small happy young old cute funny",
    "coat": "brown black white",
    "flier": "bird bee butterfly robin eagle crow owl",
    "crawler": "ant spider snail worm",
    "perch": "leaf flower rock log wall",
    # Things, by what they are for.
    "toy": "ball doll kite toy puzzle robot drum balloon",
    "tool": "pencil pen crayon brush",
    "dish": "cup plate bowl spoon fork",
    "wear": "hat coat shirt sweater cap scarf jacket",
    "shoe": "shoe sock boot mitten glove",
    "fine": "dress skirt",
    "book": "book story letter poem note",
    "book_look": "new long good funny short silly",
    "mail": "letter note card poem story",
    "small_thing": "key penny",
    "colour": "red blue green yellow white black brown pink purple orange",
    "size": "big small little",
    "state": "new old nice clean dirty broken",
    "hair": "teeth hair",
    "body": "hands feet ears",
    # Food and drink.
    "food": "bread soup rice cake pizza cheese corn pie salad",
    "spread": "jam honey butter",
    "fruit": "apple banana pear orange",
    "snack": "egg cookie carrot sandwich",
    "drink": "milk water juice tea cocoa lemonade",
    "meal": "lunch dinner breakfast",
    "some": "some good more yummy",
    "chill": "cold some more",
    "vessel": "cup glass mug",
    "taste": "good great yummy",
    # What rolls, floats and flies.
    "road": "car bus truck van taxi train",
    "ride": "bus train taxi",
    "water_body": "lake sea river ocean",
    "boat": "boat ship",
    "plane": "plane jet rocket",
    # Sky, weather, time, numbers.
    "storm": "rain snow",
    "night": "night",
    "season_weather": "hot in summer,cold in winter,warm in spring,windy in fall",
    "weather": "sunny cold hot rainy windy cloudy snowy warm",
    "grow": "tree flower plant grass seed",
    "soil": "garden yard park field sun",
    "petal": "red pretty yellow pink purple white",
    "flower": "flower rose tulip",
    "day": "monday friday sunday saturday tuesday wednesday thursday",
    "season": "summer winter spring fall",
    "daypart": "morning afternoon evening",
    "soon": "today tomorrow soon tonight",
    "number": "two three four five six seven eight nine ten",
    # Whole facts, so that each has the right partner.
    "cry": "hello yes no stop look goodbye wow thanks wait listen help welcome",
    "fact": "birds fly,dogs bark,ducks swim,cats purr,cows moo,kids play,stars shine",
    "noise": "dog barks,cat purrs,duck quacks,cow moos,lion roars,bee buzzes",
    "truth": "sky is blue,sun is hot,fire is hot,grass is green,ice is cold,moon is bright,night is dark,"
    "snow is white,bed is soft",
    "part": "dog has a tail,bird has two wings,cat has soft fur,owl has big eyes,rabbit has long ears,"
    "lion has sharp teeth,duck has two feet,spider has eight legs,elephant has big ears,giraffe has long legs,"
    "bike has two wheels,car has four wheels",
    "chase": "dog chases the cat,cat chases the mouse,fox chases the hen,wolf chases the sheep,"
    "puppy chases the ball,frog catches the fly,bird finds a worm,mouse eats the cheese,"
    "rabbit eats a carrot,horse eats the grass,monkey eats a banana",
    "job": "teacher reads a story,farmer milks the cow,baker bakes the bread,pilot flies the plane,"
    "driver stops the bus,king rides a horse",
    "chore": "kick the ball,catch the ball,wash the car,feed the dog,open the door,make the bed,clean the room,"
    "close the window,ride a bike,plant a seed,sing a song,fly a kite,"
    "paint a picture",
}
