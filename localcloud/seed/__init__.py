"""What localcloud starts with: the accounts, their resources and the data of the shop databases."""
