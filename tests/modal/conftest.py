"""What the tests of this folder share: the stand-in of Modal."""

from tests.modal_cloud.fixtures import app, cloud, modal_boxes_process, modal_client, modal_paper_process, paper

__all__ = ["app", "cloud", "modal_boxes_process", "modal_client", "modal_paper_process", "paper"]
