"""The words of the embedded word-sense sentences: ambiguous words, and what settles their sense.

Each tuple holds five choices, so that sentences are combinations of equal standing.
"""

from __future__ import annotations

# word -> sense -> clauses that settle it
TOPICS: dict[str, dict[str, tuple[str, ...]]] = {
    "bank": {
        "river": (
            "the river rose",
            "a fish jumped",
            "the boat was tied up",
            "the water was deep",
            "the ducks were nesting",
        ),
        "money": (
            "the loan was refused",
            "the cash ran out",
            "a cheque had bounced",
            "the savings were gone",
            "the interest fell",
        ),
    },
    "bat": {
        "animal": (
            "the cave was dark",
            "its wings fluttered",
            "the vampire stories scared us",
            "the moths were eaten",
            "it hung upside down",
        ),
        "sport": (
            "the ball was hit hard",
            "the innings ended",
            "the umpire whistled",
            "the team was losing",
            "the wooden handle cracked",
        ),
    },
    "crane": {
        "bird": (
            "the wetland was flooded",
            "its feathers shone",
            "the eggs had hatched",
            "the flock flew south",
            "it caught a frog",
        ),
        "machine": (
            "the steel beam was lifted",
            "the builders arrived",
            "the tower was half built",
            "the cargo was too heavy",
            "the hydraulics leaked",
        ),
    },
    "mouse": {
        "animal": (
            "the cheese was nibbled",
            "the cat was hungry",
            "something squeaked",
            "a tail was showing",
            "the trap snapped",
        ),
        "device": (
            "the cursor froze",
            "the laptop crashed",
            "the keyboard was missing",
            "the screen went blue",
            "the usb cable broke",
        ),
    },
    "organ": {
        "body": (
            "the surgeon operated",
            "the donor was found",
            "the patient recovered",
            "the blood test failed",
            "the liver was swollen",
        ),
        "music": (
            "the choir sang",
            "the church was full",
            "the pipes were polished",
            "a hymn was played",
            "the concert began",
        ),
    },
    "palm": {
        "tree": (
            "the coconuts fell",
            "the beach was sunny",
            "the monkeys climbed up",
            "the island was windy",
            "the leaves rustled",
        ),
        "hand": (
            "the glove was tight",
            "her fingers itched",
            "the splinter hurt",
            "the fortune teller came",
            "his skin was burnt",
        ),
    },
    "trunk": {
        "elephant": (
            "the elephant trumpeted",
            "the zoo was open",
            "the herd was thirsty",
            "peanuts were thrown",
            "the calf was bathing",
        ),
        "car": (
            "the luggage was packed",
            "the engine stalled",
            "the spare tyre was flat",
            "the driver stopped",
            "the taxi was waiting",
        ),
    },
    "match": {
        "fire": (
            "the candle was lit",
            "the stove was cold",
            "smoke filled the room",
            "the fuse was short",
            "the cigar was ready",
        ),
        "game": (
            "the referee was late",
            "the stadium was sold out",
            "the players were tired",
            "a goal was scored",
            "the league was over",
        ),
    },
}

# word -> topic -> (sense as a thing, sense as a deed), clauses that settle the topic
FOURFOLD: dict[str, dict[str, tuple[tuple[str, str], tuple[str, ...]]]] = {
    "bark": {
        "tree": (
            ("rind", "peel"),
            (
                "the oak was old",
                "the timber was sold",
                "the branches were dry",
                "the forest was thinned",
                "the trunks were felled",
            ),
        ),
        "dog": (
            ("yelp", "yap"),
            (
                "the dogs were nervous",
                "the postman rang",
                "the kennel was noisy",
                "the puppies woke up",
                "the leash was pulled",
            ),
        ),
    },
    "drill": {
        "soldiers": (
            ("exercise", "instruct"),
            (
                "the recruits were clumsy",
                "the sergeant shouted",
                "the parade was near",
                "the troops were idle",
                "the army expected war",
            ),
        ),
        "holes": (
            ("tool", "bore"),
            (
                "the wall was concrete",
                "the screws were loose",
                "the hole was too small",
                "the shelf was crooked",
                "the tooth was rotten",
            ),
        ),
    },
    "file": {
        "office": (
            ("folder", "archive"),
            (
                "the documents were lost",
                "the lawyer called",
                "the desk was untidy",
                "the tax papers came",
                "the secretary resigned",
            ),
        ),
        "metal": (
            ("rasp", "smooth"),
            (
                "the edge was rough",
                "the iron bars were thick",
                "the blade was blunt",
                "the nails were long",
                "the brass key was stuck",
            ),
        ),
    },
    "pen": {
        "ink": (
            ("quill", "write"),
            (
                "the ink was dry",
                "the poem was unfinished",
                "the paper was blank",
                "the signature was missing",
                "the novel was praised",
            ),
        ),
        "sheep": (
            ("fold", "enclose"),
            (
                "the sheep had strayed",
                "the pigs were muddy",
                "the shepherd was alone",
                "the goats ate the hay",
                "the farm was sold",
            ),
        ),
    },
    "seal": {
        "sea": (
            ("animal", "hunt"),
            (
                "the ice floe melted",
                "the arctic was cold",
                "the herring came back",
                "the whalers landed",
                "the flippers were wet",
            ),
        ),
        "letter": (
            ("wax", "close"),
            (
                "the envelope was open",
                "the letter was ready",
                "the king had signed",
                "the parcel was secret",
                "the contract was final",
            ),
        ),
    },
    "stamp": {
        "post": (
            ("postage", "frank"),
            (
                "the postcard was written",
                "the mail was late",
                "the album was empty",
                "the parcels were weighed",
                "the address was wrong",
            ),
        ),
        "feet": (
            ("stomp", "trample"),
            (
                "the boots were heavy",
                "the floor was shaking",
                "the dancers were furious",
                "the horse was restless",
                "the grass was too high",
            ),
        ),
    },
}

# fits every word of TOPICS, so says nothing about its sense
OPENERS = (
    "she left the",
    "we talked about the",
    "he asked for a new",
    "i looked at the",
    "nobody liked the",
)
# fit every word of FOURFOLD, and say only whether a thing or a deed is meant
THING_OPENERS = (
    "she noticed the",
    "we described their",
    "he mentioned a",
    "i remembered that",
    "nobody wanted another",
)
DEED_OPENERS = (
    "they wanted to",
    "we began to",
    "he had to",
    "you can",
    "nobody dared to",
)
CLOSINGS = ("early", "on monday", "again", "for a while", "after lunch")
