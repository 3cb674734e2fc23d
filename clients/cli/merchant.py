"""`suyuan merchant`: list, sell, dispatch, answer complaints."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clients.cli.codes import is_parcel, is_product, parse_hash, read_subject, read_subjects
from clients.cli.commands import command, group
from clients.cli.forms import number
from clients.cli.options import BarcodeArgument, CarrierOption, SaleArgument, TextFileOption, TextOption
from clients.cli.parties import MemberArgument, OwnPartyOption, PublicKeyOption, register_member
from clients.cli.recording import Draft, record
from clients.cli.selling import Parcel, finish_sale, resume_sale, sell_to_token
from clients.cli.session import Signing, read_text, signing
from clients.cli.words import Category, Outcome, Remedy, Role, Stance
from clients.events import Commitment
from ledger.chain_key import ChainKey
from ledger.errors import BadInput, Reason
from suyuan.v1 import event_pb2 as pb
