"""Events of RDS: which there are, who has subscribed to them, and how they are told to SNS."""
