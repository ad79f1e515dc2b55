from infomax.schedule import *
